"""The keys that webhooks are signed with, and how one follows another.

Receivers keep the published keys for a day. So the next key is published long before it signs, and the one before stays
published for a while after it has stopped: whoever looks once a day never meets a signature that they cannot check.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipelet.domain.errors import TooEarly
from pipelet.domain.ids import new_token

CACHED_SECONDS = 24 * 3600.0
"""How long receivers may go without looking at the published keys."""
KEPT_SECONDS = 48 * 3600.0
"""How long a key stays published after it signed for the last time: a day, and the tries of what it signed."""

NewPair = Callable[[], tuple[bytes, bytes]]
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


def begun(keys: Sequence[WebhookKey], new_pair: NewPair, now: float) -> Sequence[WebhookKey]:
    """With a key that signs and its follower, where there were none."""
    return keys or [_made(Role.SIGNING, new_pair, now), _made(Role.NEXT, new_pair, now)]


def rotated(keys: Sequence[WebhookKey], new_pair: NewPair, now: float) -> Sequence[WebhookKey]:
    """The next key signs from now on, and gets a follower.

    Raises:
        TooEarly: receivers may not have seen the next key yet.
    """
    following = next((key for key in keys if key.role is Role.NEXT), None)
    if following is None:
        return begun(keys, new_pair, now)
    hours = (following.created_at + CACHED_SECONDS - now) / 3600
    if hours > 0:
        raise TooEarly(
            "Receivers that look at the published keys once a day may not know the next one yet. Rotate in "
            f"{hours:.1f} hours. If a private key has leaked, replace all at once: `pipelet webhooks rotate --leaked`."
        )
    return [*(_moved_on(key, now) for key in published(keys, now)), _made(Role.NEXT, new_pair, now)]


def replaced(new_pair: NewPair, now: float) -> Sequence[WebhookKey]:
    """All anew: none of the old ones is published any more."""
    return begun([], new_pair, now)


def published(keys: Sequence[WebhookKey], now: float) -> list[WebhookKey]:
    return [key for key in keys if key.retired_at is None or now < key.retired_at + KEPT_SECONDS]


def _made(role: Role, new_pair: NewPair, now: float) -> WebhookKey:
    private, public = new_pair()
    return WebhookKey(id=new_token()[:12], role=role, private=private, public=public, created_at=now)


def _moved_on(key: WebhookKey, now: float) -> WebhookKey:
    match key.role:
        case Role.NEXT:
            return replace(key, role=Role.SIGNING)
        case Role.SIGNING:
            return replace(key, role=Role.RETIRED, retired_at=now)
        case Role.RETIRED:
            return key
