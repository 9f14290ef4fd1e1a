"""What the end of a job or of an attempt writes, whatever the database."""

from dataclasses import dataclass
from typing import Any

from pipelet.domain.errors import InputImagesExpired
from pipelet.domain.jobs.job import CancelResult, Job, JobState
from pipelet.domain.jobs.outcome import (
    MAX_ATTEMPTS,
    Cancelled,
    Failed,
    Failure,
    FailureKind,
    Interrupted,
    Outcome,
    Released,
    Succeeded,
    verdict,
)
from pipelet.store.rows.jobs import images_column

ORPHAN_GRACE = 600.0
"""Seconds before files of an interrupted attempt are deleted: longer than an attempt runs after it lost its lease."""
DEAD_WORKER_RETENTION = 3600.0
"""Seconds for which a worker that stopped reporting stays in the table."""
STARTED_ENTRY = "Started, attempt %s."
MOVED_ENTRY = "Moved to the front of the queue by the operator."
_RESUBMIT = "Submit the request again."
EXPIRED = Interrupted(Failure(FailureKind.WORKER_LOST, "The worker of this request was lost."), advice=_RESUBMIT)
ABANDONED = Interrupted(Failure(FailureKind.WORKER_LOST, "The worker of this request died."), advice=_RESUBMIT)
_CLAIM_MARGIN = 300.0
"""Seconds. An input file that is due for deletion sooner cannot be claimed any more: maintenance may have begun by the
reading of another clock, or before a commit that took long."""

CANCEL_RESULTS = {
    None: CancelResult.UNKNOWN,
    JobState.RUNNING: CancelResult.ALREADY_RUNNING,
    JobState.SUCCEEDED: CancelResult.ALREADY_FINISHED,
    JobState.FAILED: CancelResult.ALREADY_FINISHED,
    JobState.CANCELLED: CancelResult.CANCELLED,  # a repeated cancel gets the same result as the first
}
"""The result of a cancel that came too late, by the job's state; None for an unknown job."""


@dataclass(frozen=True, slots=True)
class QueuedEnd:
    """The end of a job that no worker has.

    Attributes:
        level, message: The entry for the job's log.
    """

    state: JobState
    failure: Failure
    level: str
    message: str

    def columns(self, job_id: str, now: float) -> dict[str, Any]:
        """Return the parameters of `end_queued_job`, and of the log entry that goes with it."""
        failure = {"failure_kind": self.failure.kind, "failure_message": self.failure.message}
        return {"id": job_id, "now": now, "state": self.state, **failure, "level": self.level, "message": self.message}


CANCELLED = QueuedEnd(
    JobState.CANCELLED,
    Failure(FailureKind.CANCELLED, "Request cancelled by the client."),
    "INFO",
    "Cancelled before it started.",
)
CANCELLED_BY_OPERATOR = QueuedEnd(
    JobState.CANCELLED,
    Failure(FailureKind.CANCELLED, "Request cancelled by the operator."),
    "INFO",
    "Cancelled by the operator before it started.",
)
TIMED_OUT = QueuedEnd(
    JobState.FAILED,
    Failure(FailureKind.REQUEST_TIMEOUT, "Request timed out"),
    "ERROR",
    "Not started before its deadline.",
)


def overdue_end(cancel_requested_at: float | None) -> QueuedEnd:
    """Return the end of a job whose start deadline has passed; a cancel request of a running job sets one, too."""
    return TIMED_OUT if cancel_requested_at is None else CANCELLED


@dataclass(frozen=True, slots=True)
class Transition:
    """What `domain.jobs.outcome.verdict` decides, as the values of `finish_attempt`.

    Attributes:
        kept: Keys of the files that belong to the result.
        level, message: The entry for the job's log.
    """

    state: JobState
    attempt: int
    level: str
    message: str
    images: str | None = None
    finished_images: str | None = None
    inference_seconds: float | None = None
    failure: Failure | None = None
    kept: tuple[str, ...] = ()

    def columns(self, job_id: str, token: str, now: float) -> dict[str, Any]:
        """Return the parameters of `finish_attempt`, and of the files and the log entry that go with it."""
        failure = self.failure
        return {
            "id": job_id,
            "token": token,
            "now": now,
            "state": self.state,
            "attempt": self.attempt,
            "finished_at": now if self.state.is_final else None,
            "images": self.images,
            "finished_images": self.finished_images,
            "inference_seconds": self.inference_seconds,
            "failure_kind": None if failure is None else failure.kind,
            "failure_message": None if failure is None else failure.message,
            "delete_after": now + ORPHAN_GRACE,
            "level": self.level,
            "message": self.message,
        }


def transition_for(job: Job, outcome: Outcome) -> Transition:
    """Return what the end of `job`'s running attempt writes."""
    match verdict(outcome, job.attempt, max_attempts=1 if job.no_retry else MAX_ATTEMPTS):
        case Succeeded(images, inference_seconds):
            return Transition(
                JobState.SUCCEEDED,
                job.attempt,
                "INFO",
                f"Finished: {len(images)} image(s), {inference_seconds:.2f} s of inference.",
                images=images_column(images),
                inference_seconds=inference_seconds,
                kept=tuple(image.key for image in images),
            )
        case Failed(failure):
            return Transition(JobState.FAILED, job.attempt, "ERROR", failure.message, failure=failure)
        case Cancelled(images):
            return Transition(
                JobState.CANCELLED,
                job.attempt,
                "INFO",
                f"Cancelled while it ran; {len(images)} image(s) were finished.",
                finished_images=images_column(images),
                failure=CANCELLED.failure,
                kept=tuple(image.key for image in images),
            )
        case None:
            attempt = job.attempt - 1 if isinstance(outcome, Released) else job.attempt
            reason = _reason(outcome).rstrip(".")
            message = f"Attempt {job.attempt} was cut short ({reason}). The request waits for another."
            return Transition(JobState.QUEUED, attempt, "WARN", message)


def _reason(outcome: Outcome) -> str:
    match outcome:
        case Interrupted(failure):
            return failure.message
        case Released(reason):
            return reason
    return ""


@dataclass(frozen=True, slots=True)
class InputFileClaim:
    """The input files that a submit makes part of its job."""

    job_id: str
    keys: list[str]
    claimable_until: float
    """Seconds since the epoch: a file that is deleted before this time cannot be claimed."""


def input_file_claim(job: Job) -> InputFileClaim | None:
    """Return the claim of a new job; None for a job without input images."""
    if not job.spec.input_images:
        return None
    keys = sorted({each.key for each in job.spec.input_images})
    return InputFileClaim(job.id, keys, job.submitted_at + _CLAIM_MARGIN)


def expired_input_error() -> InputImagesExpired:
    return InputImagesExpired("The input images of this request are not stored any more. Submit it with them again.")
