"""Reports for operators: what they read of the store. No query looks at more rows than it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pipelet.domain.jobs.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCount:
    """Failed requests that are alike. Times are seconds since the epoch."""

    app: str
    error_type: str
    message: str
    """As their users see it, but without their prompts."""
    worker: str | None
    """The worker of the last attempt; None if they never started."""
    requests: int
    retried: int
    """Number of them that were retried."""
    first_submitted_at: float
    first_seen_at: float
    last_seen_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureMinute:
    """Failed requests of one error type that ended in one minute."""

    error_type: str
    minute: int
    """Minutes since the epoch, at its begin."""
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRequest:
    id: str
    app: str
    user: str
    priority: int
    images: int
    worker: str
    attempt: int
    started_at: float
    progress: Progress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityCount:
    app: str
    priority: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCount:
    user: str
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImages:
    """The images of one request that has ended; there may be none."""

    finished_at: float
    seq: int
    app: str
    user: str
    size: int
    """Bytes of all its images."""


class SavedReport(NamedTuple):
    sampled_at: float
    """Seconds since the epoch."""
    body: str


class ReportStore(Protocol):
    """Counts and lists for operators. They hold ids, names and numbers, and nothing that users wrote."""

    async def failures(self, since: float, limit: int) -> list[FailureCount]:
        """Count the requests that failed after `since`, the newest `limit` of them."""

    async def failures_by_minute(self, since: float, limit: int) -> list[FailureMinute]:
        """Count the newest `limit` requests that failed after `since`, by error type and minute."""

    async def running(self, limit: int) -> list[RunningRequest]:
        """Return running requests, the longest running first."""

    async def queued_by_priority(self) -> list[PriorityCount]: ...

    async def queued_by_user(self, apps: Sequence[str], *, scan_limit: int, limit: int) -> list[UserCount]:
        """Return the users with the most requests among `scan_limit` queued ones of each app, about the first."""

    async def stored_images(self, after: tuple[float, int], limit: int) -> list[StoredImages]:
        """Return a page of a walk over all ended requests: their images, in the order of `finished_at` and `seq`, from
        `after` on."""

    async def start(self, name: str, now: float, since: float) -> bool:
        """Whether this process makes the report of this name now: none has started it after `since`."""

    async def save(self, name: str, now: float, body: str) -> None:
        """Store a report that was started; it replaces the one before."""

    async def saved(self, name: str) -> SavedReport | None: ...
