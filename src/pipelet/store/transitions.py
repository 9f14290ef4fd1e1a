"""What the end of a job or of an attempt writes, whatever the database."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from pipelet.domain.errors import InputImagesExpired
from pipelet.domain.jobs.job import CancelResult, Job, JobState
from pipelet.domain.jobs.outcome import (
    CANCEL_MESSAGES,
    MAX_ATTEMPTS,
    Cancelled,
    CancelledBy,
    Failed,
    Failure,
    FailureKind,
    Interrupted,
    Outcome,
    Released,
    Succeeded,
    verdict,
)
from pipelet.store.rows import images_column

ORPHAN_GRACE = 600.0
"""Seconds before files of an interrupted attempt are deleted: longer than an attempt runs after it lost its lease."""
DEAD_WORKER_RETENTION = 3600.0
"""Seconds for which a worker that stopped reporting stays in the table."""
STARTED_ENTRY = "Started, attempt %s."
PRIORITY_ENTRY = "Priority changed from %s to %s."
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
    failure_kind: FailureKind
    failure_message: str
    level: str
    message: str
    cancelled_by: CancelledBy | None = None

    def columns(self, job_id: str, now: float) -> dict[str, Any]:
        """Return the parameters of `end_queued_job`, and of the log entry that goes with it."""
        return {"id": job_id, "now": now, **asdict(self)}


_CANCELLED_ENTRIES = {
    CancelledBy.USER: "Cancelled before it started.",
    CancelledBy.OPERATOR: "Cancelled by the operator before it started.",
    CancelledBy.CONNECTION: "Cancelled before it started, because its client closed the connection.",
    CancelledBy.SERVICE: "Cancelled before it started, because the service ended the call that waited for it.",
}
TIMED_OUT = QueuedEnd(
    JobState.FAILED, FailureKind.REQUEST_TIMEOUT, "Request timed out", "ERROR", "Not started before its deadline."
)


def cancelled_end(by: CancelledBy) -> QueuedEnd:
    message, entry = CANCEL_MESSAGES[by], _CANCELLED_ENTRIES[by]
    return QueuedEnd(JobState.CANCELLED, FailureKind.CANCELLED, message, "INFO", entry, by)


def overdue_end(cancel_requested_at: float | None) -> QueuedEnd:
    """Return the end of a job whose start deadline has passed; a cancel request of a running job sets one, too."""
    if cancel_requested_at is None:
        return TIMED_OUT
    return replace(cancelled_end(CancelledBy.USER), cancelled_by=None)  # keep what the cancel request noted


def attempt_end(job: Job, token: str, outcome: Outcome, now: float) -> dict[str, Any]:
    """Return what the end of `job`'s running attempt writes, as `domain.jobs.outcome.verdict` decides: the parameters
    of `finish_attempt`, and of the files and the log entry that go with it."""
    columns: dict[str, Any] = {
        "id": job.id,
        "token": token,
        "now": now,
        "attempt": job.attempt,
        "finished_at": now,
        "images": None,
        "finished_images": None,
        "inference_seconds": None,
        "kept": [],  # keys of the files that belong to the result
        "delete_after": now + ORPHAN_GRACE,
        "failure_kind": None,
        "failure_message": None,
    }
    match verdict(outcome, job.attempt, max_attempts=1 if job.no_retry else MAX_ATTEMPTS) or outcome:
        case Succeeded(images, seconds):
            columns |= {"state": JobState.SUCCEEDED, "images": images_column(images), "inference_seconds": seconds}
            columns |= {"kept": [image.key for image in images], "level": "INFO"}
            columns["message"] = f"Finished: {len(images)} image(s), {seconds:.2f} s of inference."
        case Failed(failure):
            columns |= {"state": JobState.FAILED, "failure_kind": failure.kind, "failure_message": failure.message}
            columns |= {"level": "ERROR", "message": failure.message}
        case Cancelled(images):
            columns |= {"state": JobState.CANCELLED, "finished_images": images_column(images)}
            columns |= {"kept": [image.key for image in images], "level": "INFO"}
            columns |= {"failure_kind": FailureKind.CANCELLED, "failure_message": CANCEL_MESSAGES[CancelledBy.USER]}
            columns["message"] = f"Cancelled while it ran; {len(images)} image(s) were finished."
        case Interrupted(Failure(message=reason)) | Released(reason):
            attempt = job.attempt - 1 if isinstance(outcome, Released) else job.attempt
            columns |= {"state": JobState.QUEUED, "attempt": attempt, "finished_at": None, "level": "WARN"}
            reason = reason.rstrip(".")
            columns["message"] = f"Attempt {job.attempt} was cut short ({reason}). The request waits for another."
    return columns


def input_file_claim(job: Job) -> dict[str, Any] | None:
    """Return the parameters of `claim_input_files` for a new job; None for a job without input images.

    A file that is deleted before `claimable_until` cannot be claimed.
    """
    if not job.spec.input_images:
        return None
    keys = sorted({each.key for each in job.spec.input_images})
    return {"job_id": job.id, "keys": keys, "claimable_until": job.submitted_at + _CLAIM_MARGIN}


def expired_input_error() -> InputImagesExpired:
    return InputImagesExpired("The input images of this request are not stored any more. Submit it with them again.")
