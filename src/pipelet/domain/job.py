"""A request as the queue sees it: its states, the moves between them, and what is known of it in each.

On the wire the unit of work is a *request*; in the code it is a `Job`, because HTTP has requests already.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from pipelet.domain.estimate import Work
from pipelet.domain.image import ImageSpec, StoredImage
from pipelet.domain.outcome import Failure
from pipelet.domain.progress import Progress
from pipelet.domain.webhooks import Webhook


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.FAILED}),
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.QUEUED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""Every legal move. `RUNNING` to `QUEUED` is a worker that was lost or that handed the job back; `QUEUED` to `FAILED`
is a deadline for the start that passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A snapshot: it never changes, the store hands out a new one. Times are seconds since the epoch."""

    id: str
    app: str
    user: str
    """Whose it is. Nobody else may see it, or learn that it exists."""
    priority: int
    """Larger runs sooner; first come, first served within one value."""
    spec: ImageSpec
    work: Work
    """Of drawing it, by the model that was there at submit."""
    submitted_at: float
    expected_seconds: float
    """From submit to result, as predicted at submit: measured against the truth when the job ends."""
    key_id: str | None = None
    """Of the key that submitted it; None where that was not noted."""
    is_limited: bool = False
    """That key has limits: the images of this job count against them."""
    asked_priority: int | None = None
    """What `priority` was before an operator moved the job to the front."""
    webhook: Webhook | None = None
    """Who is told when it has ended, however it ends."""
    start_by: float | None = None
    """Begun later, it would be too late. It holds for every attempt: a job that is handed back too late is over."""
    is_single_attempt: bool = False
    """An attempt that is cut short is not made again."""
    keeps_input: bool = True
    """False: the store blanks prompt, negative prompt and references when the job ends."""
    keep_seconds: float | None = None
    """After its end the job is forgotten so soon, or when the operator's retention time is over."""
    seq: int = 0
    """Place in the order of arrival, given by the store."""
    state: State = State.QUEUED
    attempt: int = 0
    """How many workers have begun it."""
    started_at: float | None = None
    """When the current or last attempt began."""
    finished_at: float | None = None
    progress: Progress | None = None
    """Set while running; the last known of the final attempt afterwards."""
    images: tuple[StoredImage, ...] = ()
    """Of a job that was cancelled while it ran: those that were finished before."""
    inference_seconds: float | None = None
    failure: Failure | None = None

    def is_forgotten(self, now: float) -> bool:
        """Its user wanted it kept no longer."""
        ended, kept = self.finished_at, self.keep_seconds
        return ended is not None and kept is not None and ended + kept <= now

    def again(self, job_id: str, now: float) -> "Job":
        """A new job that asks for the same pictures, with the same seed, for the same user.

        `expected_seconds` is still the old one's.
        """
        return replace(
            self,
            id=job_id,
            priority=self.priority if self.asked_priority is None else self.asked_priority,
            asked_priority=None,
            start_by=None,
            submitted_at=now,
            seq=0,
            state=State.QUEUED,
            attempt=0,
            started_at=None,
            finished_at=None,
            progress=None,
            images=(),
            inference_seconds=None,
            failure=None,
        )


class Version(NamedTuple):
    """What tells one snapshot of a job from the next: all else never changes, or only together with the state."""

    state: str
    attempt: int
    started_at: float | None
    tasks_done: int | None
    tasks_total: int | None
    priority: int
    seq: int
    lines: int
    """Of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a job until `expires_at`. Whoever lost it learns so at the next call, and stops."""

    job: Job
    token: str
    worker: str
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLease:
    """What a worker asks for when it claims."""

    worker: str
    apps: tuple[str, ...]
    """The apps this worker can serve."""
    token: str
    now: float
    expires_at: float
    passed_over: tuple[str, ...] = ()
    """Ids of jobs that this worker cannot draw: they are left to others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a job's history, in the shape fal's clients show."""

    at: float
    level: str
    message: str


class CancelAnswer(StrEnum):
    """Exactly one of cancel and start wins; this says which."""

    CANCELLED = "cancelled"
    STOPPING = "stopping"
    """It runs, and its worker is told to stop; it may still succeed before it does."""
    ALREADY_RUNNING = "already_running"
    ALREADY_FINISHED = "already_finished"
    UNKNOWN = "unknown"
