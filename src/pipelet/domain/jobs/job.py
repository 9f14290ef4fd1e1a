"""A request as the queue sees it: its states, the transitions between them, and its data.

On the wire the unit of work is a *request*; in the code it is a `Job`, because HTTP has requests already.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from pipelet.domain.capacity.cost_model import Work
from pipelet.domain.generation.image import ImageSpec, StoredImage
from pipelet.domain.jobs.outcome import CancelledBy, Failure
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.webhooks.delivery import Webhook

MIN_PRIORITY, MAX_PRIORITY = -(2**31), 2**31 - 1
"""Range of a job's priority, which databases keep in 32 bits."""


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.FAILED}),
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.QUEUED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}
"""Every legal transition. `RUNNING` to `QUEUED`: the worker was lost, or released the job. `QUEUED` to `FAILED`: the
deadline for the start passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A snapshot: it never changes, the store returns a new one. Times are seconds since the epoch."""

    id: str
    app: str
    user: str
    """Its owner. Other users may not see it, or learn that it exists."""
    priority: int
    """Larger runs sooner; within one value users take turns, or it is first come, first served: see `QueueOrder`."""
    spec: ImageSpec
    work: Work
    """Work of generating it, by the model at submit."""
    submitted_at: float
    estimated_seconds: float
    """Seconds from submit to result, as predicted at submit; compared with the real ones at the end."""
    model: str = ""
    """Catalog name of the model of its app at submit. Requests of one model wait for the same workers."""
    turn_cost: int = 0
    """Microseconds of device time that it is predicted to take: what its user is charged when users take turns."""
    turn: int = 0
    """Virtual time of its turn in microseconds, assigned by the store; `seq` decides between equal ones."""
    key_id: str | None = None
    """Id of the API key that submitted it; None where it is unknown."""
    is_limited: bool = False
    """Whether that key has limits, against which the images of this job count."""
    is_user_limited: bool = False
    """Whether the limits of its user apply to it, so that it is counted there."""
    requested_priority: int | None = None
    """The `priority` before an operator moved the job to the front."""
    webhook: Webhook | None = None
    """The endpoint to call when it has ended, however it ends."""
    start_deadline: float | None = None
    """Latest start of every attempt: a job that is released later has expired."""
    no_retry: bool = False
    """Whether an attempt that is cut short is not retried."""
    store_input: bool = True
    """If False, the store blanks prompt, negative prompt and input images when the job ends."""
    inline_images: bool = False
    """Whether its result, where an API offers that, holds the images as `data:` URIs."""
    retention_seconds: float | None = None
    """Seconds after its end until the job is deleted, at most the operator's retention time."""
    seq: int = 0
    """Number in the order of arrival, assigned by the store."""
    state: JobState = JobState.QUEUED
    attempt: int = 0
    """Number of workers that have started it."""
    started_at: float | None = None
    """When the current or last attempt started."""
    finished_at: float | None = None
    progress: Progress | None = None
    """Set while running; afterwards the last one of the final attempt."""
    images: tuple[StoredImage, ...] = ()
    """Finished images; of a job that was cancelled while it ran, those that were finished before."""
    inference_seconds: float | None = None
    failure: Failure | None = None
    worker: str | None = None
    """Worker of the current or last attempt."""
    kept: bool = False
    """Whether retention leaves it alone."""
    cancelled_by: CancelledBy | None = None
    """Who cancelled it; None if it was not cancelled, or if it is not known who did."""
    retried_as: str | None = None
    """Id of the newest request that was queued in its place; it may be deleted by now."""

    def is_expired(self, now: float) -> bool:
        """Return whether its own retention time is over."""
        ended, retention = self.finished_at, self.retention_seconds
        return not self.kept and ended is not None and retention is not None and ended + retention <= now

    def clone_for_retry(self, job_id: str, now: float) -> "Job":
        """Return a new job for the same images, with the same seed, for the same user.

        `estimated_seconds` is still that of the old job.
        """
        return replace(
            self,
            id=job_id,
            priority=self.priority if self.requested_priority is None else self.requested_priority,
            requested_priority=None,
            start_deadline=None,
            submitted_at=now,
            seq=0,
            turn=0,
            state=JobState.QUEUED,
            attempt=0,
            started_at=None,
            finished_at=None,
            progress=None,
            images=(),
            inference_seconds=None,
            failure=None,
            worker=None,
            kept=False,
            cancelled_by=None,
            retried_as=None,
        )


class JobRevision(NamedTuple):
    """Tells one snapshot of a job from the next: other fields never change, or only together with the state."""

    state: str
    attempt: int
    started_at: float | None
    tasks_done: int | None
    tasks_total: int | None
    priority: int
    seq: int
    kept: bool
    retried_as: str | None
    lines: int
    """Number of lines in its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a job until `expires_at`. A worker that lost it learns so at the next call, and stops."""

    job: Job
    token: str
    worker: str
    expires_at: float


class AttemptSignals(NamedTuple):
    """What users want of a running attempt."""

    is_cancelled: bool
    """Whether it has to stop."""
    previews_until: float | None
    """Time until which its worker makes previews, which may be over; None if no client watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """The parameters of a claim."""

    worker: str
    apps: tuple[str, ...]
    """The apps this worker can serve."""
    token: str
    now: float
    expires_at: float
    exclude_ids: tuple[str, ...] = ()
    """Ids of jobs that this worker cannot generate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of a job's history, in the shape fal's clients show."""

    at: float
    level: str
    message: str


class DeleteResult(StrEnum):
    """What became of a delete."""

    DELETED = "deleted"
    NOT_ENDED = "not_ended"
    """It waits or runs: only a job that has ended is deleted."""
    UNKNOWN = "unknown"


class CancelResult(StrEnum):
    """Exactly one of cancel and start wins; this says which."""

    CANCELLED = "cancelled"
    STOPPING = "stopping"
    """It runs, and its worker is notified; it may still succeed before it stops."""
    ALREADY_RUNNING = "already_running"
    ALREADY_FINISHED = "already_finished"
    UNKNOWN = "unknown"
