"""API keys: 256 random bits behind a recognisable prefix, known to us only by their hash."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TypedDict

from pipelet.domain.errors import QuotaExceeded

PREFIX = "pk_"
KEY_CACHE_SECONDS = 2.0
"""Seconds for which a process goes by what it has read of a key: a revoked key works that long at most."""
_KEY = re.compile(r"pk_[A-Za-z0-9_-]{43}")


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
    max_priority: int | None = None
    """Requests of this key may not ask for more."""
    max_queued_images: int | None = None
    """So many images may wait; a request that would exceed it is refused."""
    max_running_images: int | None = None
    """So many images may run; a request that would exceed it waits, and others go first."""

    @property
    def has_limits(self) -> bool:
        """Whether its images are counted."""
        return self.max_queued_images is not None or self.max_running_images is not None

    @property
    def max_batch(self) -> int | None:
        """A request of more images than this could never be taken, or never begin."""
        limits = [limit for limit in (self.max_queued_images, self.max_running_images) if limit is not None]
        return min(limits, default=None)

    def invalid_reason(self, now: float) -> str | None:
        """Why this key opens nothing at `now`, or None."""
        if self.revoked_at is not None:
            return "This key was revoked. Ask the operator for a new one."
        if self.expires_at is not None and now >= self.expires_at:
            return "This key has expired. Ask the operator for a new one."
        return None


class KeyLimits(TypedDict, total=False):
    """New limits of a key; None removes one."""

    max_priority: int | None
    max_queued_images: int | None
    max_running_images: int | None


LIMIT_NAMES = ("max_priority", "max_queued_images", "max_running_images")
"""The names in `KeyLimits`."""


def queued_quota_exceeded(*, queued: int, allowed: int, images: int) -> QuotaExceeded:
    """Return the error for a request of `images` images, where `queued` of the `allowed` are queued already."""
    return QuotaExceeded(
        f"The limit of queued images of this key is reached: {queued} of at most {allowed} wait, and this request has "
        f"{images}. Submit it again when some of them have begun, cancel some, or ask the operator for a higher limit.",
        excess=queued + images - allowed,
    )


def new_secret() -> str:
    """The key itself: shown once, stored nowhere."""
    return PREFIX + secrets.token_urlsafe(32)


def is_well_formed(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def hash_secret(secret: str) -> bytes:
    """A plain SHA-256 is enough: 256 random bits cannot be searched, so there is nothing to slow down."""
    return hashlib.sha256(secret.encode()).digest()
