"""The keys that webhooks are signed with, and how one follows another.

Receivers keep the published keys for a day. So the next key is published long before it signs, and the one before stays
published for a while after it has stopped: an endpoint that reads the keys once a day can check every signature.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipelet.domain.errors import RotationTooSoon
from pipelet.domain.ids import new_token

JWKS_CACHE_SECONDS = 24 * 3600.0
"""How long receivers may go without looking at the published keys."""
RETIRED_KEY_TTL_SECONDS = 48 * 3600.0
"""How long a key stays published after it signed for the last time: a day, and the tries of what it signed."""

GenerateKeypair = Callable[[], tuple[bytes, bytes]]
"""Makes a private key and its public one, 32 bytes each."""


class Role(StrEnum):
    NEXT = "next"
    SIGNING = "signing"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookKey:
    """An Ed25519 key."""

    id: str
    role: Role
    private: bytes = field(repr=False)
    public: bytes
    created_at: float
    retired_at: float | None = None


def initial_keys(keys: Sequence[WebhookKey], generate_keypair: GenerateKeypair, now: float) -> Sequence[WebhookKey]:
    """With a key that signs and its follower, where there were none."""
    return keys or [_new_key(Role.SIGNING, generate_keypair, now), _new_key(Role.NEXT, generate_keypair, now)]


def rotate(keys: Sequence[WebhookKey], generate_keypair: GenerateKeypair, now: float) -> Sequence[WebhookKey]:
    """The next key signs from now on, and gets a follower.

    Raises:
        RotationTooSoon: receivers may not have seen the next key yet.
    """
    following = next((key for key in keys if key.role is Role.NEXT), None)
    if following is None:
        return initial_keys(keys, generate_keypair, now)
    hours = (following.created_at + JWKS_CACHE_SECONDS - now) / 3600
    if hours > 0:
        raise RotationTooSoon(
            "Receivers that look at the published keys once a day may not know the next one yet. Rotate in "
            f"{hours:.1f} hours. If a private key has leaked, replace all at once: `pipelet webhooks rotate --leaked`."
        )
    return [*(_advance(key, now) for key in published_keys(keys, now)), _new_key(Role.NEXT, generate_keypair, now)]


def replace_all(generate_keypair: GenerateKeypair, now: float) -> Sequence[WebhookKey]:
    """Return new keys only: none of the old ones is published any more."""
    return initial_keys([], generate_keypair, now)


def published_keys(keys: Sequence[WebhookKey], now: float) -> list[WebhookKey]:
    return [key for key in keys if key.retired_at is None or now < key.retired_at + RETIRED_KEY_TTL_SECONDS]


def _new_key(role: Role, generate_keypair: GenerateKeypair, now: float) -> WebhookKey:
    private, public = generate_keypair()
    return WebhookKey(id=new_token()[:12], role=role, private=private, public=public, created_at=now)


def _advance(key: WebhookKey, now: float) -> WebhookKey:
    match key.role:
        case Role.NEXT:
            return replace(key, role=Role.SIGNING)
        case Role.SIGNING:
            return replace(key, role=Role.RETIRED, retired_at=now)
        case Role.RETIRED:
            return key
