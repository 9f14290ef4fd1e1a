"""Limits of a user, which all keys of the user share, and how much of them is used."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypedDict

from pipelet.domain.errors import QuotaExceeded, StorageLimitExceeded, SubmitRateExceeded

CLOCK_TOLERANCE_SECONDS = 10.0
"""Seconds by which the clocks of processes may differ. A bucket that was filled later than that was filled before the
clock was set back, and counts as full: its user does not wait until the old time comes again. PostgreSQL's
`submit_tokens_at` and `submit_limited_job.sql` repeat this number."""
DEFAULT_BURST = 100
_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLimits:
    """None: no limit."""

    max_priority: int | None = None
    """Requests may not ask for more."""
    max_queued_images: int | None = None
    """Maximum number of waiting images; a request that would exceed it is refused."""
    max_running_images: int | None = None
    """Maximum number of running images; a request that would exceed it waits, and others go first."""
    max_submits_per_second: float | None = None
    """Submits per second in the long run."""
    submit_burst: int = DEFAULT_BURST
    """Submits at once, after a pause."""
    max_stored_bytes: int | None = None
    """Bytes of files; a request is refused while as much or more is stored."""
    max_webhooks_per_minute: int | None = None
    """Webhooks that are sent for the first time per minute; more of them are sent later."""

    @property
    def apply_to_submits(self) -> bool:
        """Whether the submits of its user are counted."""
        limits = (self.max_queued_images, self.max_running_images, self.max_submits_per_second, self.max_stored_bytes)
        return any(limit is not None for limit in limits)


NO_LIMITS = UserLimits()


class UserLimitChanges(TypedDict, total=False):
    """New limits of a user; None removes one. What is absent stays as it is."""

    max_priority: int | None
    max_queued_images: int | None
    max_running_images: int | None
    max_submits_per_second: float | None
    submit_burst: int
    max_stored_bytes: int | None
    max_webhooks_per_minute: int | None


USER_LIMIT_NAMES = tuple(field.name for field in fields(UserLimits))
"""The names in `UserLimitChanges`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserQuota:
    """The limits of a user, and what is used of them."""

    limits: UserLimits
    queued_images: int = 0
    """Waiting images of requests that were limited when they were submitted."""
    running_images: int = 0
    """Running images, counted where there is a limit of them."""
    stored_bytes: int = 0
    submit_tokens: float | None = None
    """Tokens in the bucket of submits at `filled_at`; None: it is full."""
    filled_at: float = 0.0
    """Seconds since the epoch."""

    def tokens(self, now: float) -> float:
        """Return the number of submits that could be made at `now` without a pause."""
        burst, rate = float(self.limits.submit_burst), self.limits.max_submits_per_second or 0.0
        if self.submit_tokens is None or now < self.filled_at - CLOCK_TOLERANCE_SECONDS:
            return burst
        return min(burst, self.submit_tokens + max(0.0, now - self.filled_at) * rate)

    def submits_left(self, now: float) -> int | None:
        """Return `tokens` as a number of submits; None without a limit."""
        return None if self.limits.max_submits_per_second is None else int(self.tokens(now))

    def refusal(self, images: int, now: float) -> QuotaExceeded | None:
        """Return the error of a request of `images` images that is submitted at `now`; None if there is room."""
        limits = self.limits
        if full := self.storage_refusal():
            return full
        if limits.max_submits_per_second is not None and (tokens := self.tokens(now)) < 1:
            return _submit_rate_exceeded(limits, wait_seconds=(1 - tokens) / limits.max_submits_per_second)
        if limits.max_queued_images is not None and self.queued_images + images > limits.max_queued_images:
            error = queued_quota_exceeded(
                queued=self.queued_images, allowed=limits.max_queued_images, images=images, whose="your user"
            )
            error.is_of_user = True
            return error
        return None

    def storage_refusal(self, size: int = 1) -> StorageLimitExceeded | None:
        """Return the error of what would store more files, or keep them longer; None if there is room.

        Args:
            size: bytes that would be stored, where they are known.
        """
        allowed = self.limits.max_stored_bytes
        if allowed is None or self.stored_bytes + size <= allowed:
            return None
        return _storage_limit_exceeded(used=self.stored_bytes, allowed=allowed, size=size)


class Refusal(NamedTuple):
    """What is counted for each user and day of requests that a limit refused."""

    day: str
    """The day in UTC, such as 2026-11-30."""
    user: str
    reason: str


def queued_quota_exceeded(*, queued: int, allowed: int, images: int, whose: str = "this key") -> QuotaExceeded:
    """Return the error for a request of `images` images, where `queued` of the `allowed` are queued already."""
    return QuotaExceeded(
        f"The limit of queued images of {whose} is reached: {queued} of at most {allowed} wait, and this request has "
        f"{images}. Submit it again when some of them have begun, cancel some, or ask the operator for a higher limit.",
        excess=queued + images - allowed,
    )


def _submit_rate_exceeded(limits: UserLimits, *, wait_seconds: float) -> SubmitRateExceeded:
    error = SubmitRateExceeded(
        f"Your user submits faster than {limits.max_submits_per_second:g} requests a second allow, with bursts of "
        f"{limits.submit_burst}. Submit it again after the seconds of `Retry-After`, or ask the operator for a higher "
        "limit.",
        excess=1,
    )
    error.retry_after = wait_seconds
    return error


def _storage_limit_exceeded(*, used: int, allowed: int, size: int) -> StorageLimitExceeded:
    too_large = "" if used >= allowed else f", and this file has {in_gib(size)}"
    return StorageLimitExceeded(
        f"The storage limit of your user is reached: {in_gib(used)} of at most {in_gib(allowed)} are used{too_large}. "
        "Delete requests that you no longer need (`DELETE /api/v1/requests/<request_id>`), or wait until the oldest "
        "expire.",
        excess=used + size - allowed,
    )


def days_before(now: float, days: int) -> str:
    """Return a day in UTC as `Refusal` names it, `days` before that of `now`."""
    return (datetime.fromtimestamp(now, UTC) - timedelta(days=days)).date().isoformat()


def in_gib(size: int) -> str:
    """Return a number of bytes for people, in GiB."""
    return f"{size / _GIB:.3g} GiB"


def to_bytes(gib: float) -> int:
    return round(gib * _GIB)


def numbers(limits: UserLimits) -> dict[str, Any]:
    """Return the limits by name."""
    return {name: getattr(limits, name) for name in USER_LIMIT_NAMES}
