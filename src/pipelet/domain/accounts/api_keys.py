"""API keys: 256 random bits between a recognisable prefix and a checksum, known to us only by their hash."""

import hashlib
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from pipelet.domain.accounts.limits import NO_LIMITS, UserLimits
from pipelet.domain.accounts.scopes import ALL_SCOPES, DEFAULT_SCOPES, Scope
from pipelet.domain.errors import RefusedKey
from pipelet.domain.ids import base62, random_base62

PREFIX = "pipelet_"
"""The prefix of no other service, so that scanners of published files can tell whose key they have found."""
KEY_CACHE_SECONDS = 2.0
"""Seconds for which a process goes by what it has read of a key: a revoked key works that long at most."""
_RANDOM_CHARS, _CHECKSUM_CHARS = 43, 6
_KEY = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_RANDOM_CHARS}}})([0-9A-Za-z]{{{_CHECKSUM_CHARS}}})")
_EARLIER_KEY = re.compile(r"pk_[A-Za-z0-9_-]{43}")
"""Keys of the first versions, which have no checksum."""


class KeyState(StrEnum):
    VALID = "valid"
    REVOKED = "revoked"
    EXPIRED = "expired"


_INVALID_REASONS = {
    KeyState.REVOKED: "This key was revoked. Ask the operator for a new one.",
    KeyState.EXPIRED: "This key has expired. Ask the operator for a new one.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Times are seconds since the epoch."""

    id: str
    name: str
    user: str
    hash: bytes
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    last_used_at: float | None = None
    """Late by two minutes at most; None if it was never used."""
    max_priority: int | None = None
    """Requests of this key may not ask for more."""
    max_queued_images: int | None = None
    """So many images may wait; a request that would exceed it is refused."""
    max_running_images: int | None = None
    """So many images may run; a request that would exceed it waits, and others go first."""
    user_limits: UserLimits = NO_LIMITS
    """The limits of its user, where they apply to it: see `services.accounts.authentication`."""

    @property
    def has_limits(self) -> bool:
        """Whether its images are counted for the key, and its requests wait where too many images run."""
        limits = (self.max_queued_images, self.max_running_images, self.user_limits.max_running_images)
        return any(limit is not None for limit in limits)

    @property
    def priority_ceiling(self) -> int | None:
        """The smaller of the key's and the user's."""
        return _smallest(self.max_priority, self.user_limits.max_priority)

    @property
    def max_batch(self) -> int | None:
        """A request of more images than this could never be taken, or never begin."""
        user = self.user_limits
        return _smallest(
            self.max_queued_images, self.max_running_images, user.max_queued_images, user.max_running_images
        )

    @property
    def is_admin(self) -> bool:
        """Whether it may do everything."""
        return self.scopes == ALL_SCOPES

    def state(self, now: float) -> KeyState:
        if self.revoked_at is not None:
            return KeyState.REVOKED
        return KeyState.EXPIRED if self.expires_at is not None and now >= self.expires_at else KeyState.VALID

    def invalid_reason(self, now: float) -> str | None:
        """Why this key opens nothing at `now`, or None."""
        return _INVALID_REASONS.get(self.state(now))

    def require_valid(self, now: float) -> None:
        """
        Raises:
            RefusedKey: it opens nothing at `now`.
        """
        state = self.state(now)
        if state is not KeyState.VALID:
            raise RefusedKey(_INVALID_REASONS[state], kind=state)


class KeyLimits(TypedDict, total=False):
    """New limits of a key; None removes one."""

    max_priority: int | None
    max_queued_images: int | None
    max_running_images: int | None


class KeyChanges(KeyLimits, total=False):
    """What can be changed of a key. What is absent stays as it is."""

    name: str
    scopes: frozenset[Scope]
    expires_at: float | None
    """Seconds since the epoch; None: never."""


LIMIT_NAMES = ("max_priority", "max_queued_images", "max_running_images")
"""The names in `KeyLimits`."""
CHANGE_NAMES = ("name", "scopes", "expires_at", *LIMIT_NAMES)
"""The names in `KeyChanges`."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What is used of the limits of a key. Requests of a key without limits of images are not counted."""

    queued_images: int
    running_images: int


def _smallest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def new_secret() -> str:
    """The key itself: shown once, stored nowhere."""
    random = random_base62(_RANDOM_CHARS)
    return f"{PREFIX}{random}{_checksum(random)}"


def is_well_formed(text: str) -> bool:
    """Whether `text` looks like a key, of whatever checksum."""
    return _KEY.fullmatch(text) is not None or _EARLIER_KEY.fullmatch(text) is not None


def has_typo(text: str) -> bool:
    """Whether `text` looks like a key, and its checksum says that it is not the one that was made."""
    found = _KEY.fullmatch(text)
    return found is not None and found[2] != _checksum(found[1])


def _checksum(random: str) -> str:
    """CRC-32 in base 62, as GitHub's tokens have it: a scanner tells a key from other text without asking us."""
    return base62(zlib.crc32(random.encode()), _CHECKSUM_CHARS)


def hash_secret(secret: str) -> bytes:
    """A plain SHA-256 is enough: 256 random bits cannot be searched, so there is nothing to slow down."""
    return hashlib.sha256(secret.encode()).digest()
