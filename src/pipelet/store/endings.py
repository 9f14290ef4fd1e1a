"""What the end of an attempt writes, whatever the database."""

from dataclasses import dataclass
from typing import Any

from pipelet.domain.job import CancelAnswer, Job, State
from pipelet.domain.outcome import (
    MAX_ATTEMPTS,
    Cancelled,
    Failed,
    Failure,
    FailureKind,
    HandedBack,
    Interrupted,
    Outcome,
    Succeeded,
    verdict,
)
from pipelet.store import rows

ORPHAN_GRACE = 600.0
"""Seconds before files of a broken-off attempt are deleted: longer than an attempt goes on after it lost its lease."""
WORKER_MEMORY = 3600.0
"""Seconds a worker that stopped reporting stays in the table."""
_SUBMIT_AGAIN = "Submit the request again."
EXPIRED = Interrupted(Failure(FailureKind.WORKER_LOST, "The worker that drew this was lost."), advice=_SUBMIT_AGAIN)
ABANDONED = Interrupted(Failure(FailureKind.WORKER_LOST, "The worker that drew this died."), advice=_SUBMIT_AGAIN)
CANCELLED = {"failure_kind": FailureKind.CANCELLED, "failure_message": "Request cancelled by the client."}
CANCELLED_LINE = "Cancelled before it began."
CANCELLED_BY_OPERATOR = {
    "failure_kind": FailureKind.CANCELLED,
    "failure_message": "Request cancelled by the operator.",
}
CANCELLED_BY_OPERATOR_LINE = "Cancelled by the operator before it began."
TIMED_OUT = {"failure_kind": FailureKind.REQUEST_TIMEOUT, "failure_message": "Request timed out"}
TIMED_OUT_LINE = "It had not begun by the time that was set for it."
MOVED_LINE = "Moved to the front of the queue by the operator."

CANCEL_ANSWERS = {
    None: CancelAnswer.UNKNOWN,
    State.RUNNING: CancelAnswer.ALREADY_RUNNING,
    State.SUCCEEDED: CancelAnswer.ALREADY_FINISHED,
    State.FAILED: CancelAnswer.ALREADY_FINISHED,
    State.CANCELLED: CancelAnswer.CANCELLED,  # a repeated cancel gets the first answer again
}
"""By the state that a job turns out to have."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What `domain.outcome.verdict` decides, as the query that writes it.

    Attributes:
        columns: The query's values, beside the job's id, its lease's token and what follows.
        kept: Keys of the files that belong to the result.
        level, message: The line for the job's log.
    """

    query: str
    columns: dict[str, Any]
    kept: list[str]
    level: str
    message: str


def ending(job: Job, outcome: Outcome, now: float) -> Ending:
    match verdict(outcome, job.attempt, max_attempts=1 if job.is_single_attempt else MAX_ATTEMPTS):
        case Succeeded(images, inference_seconds):
            columns = {"now": now, "images": rows.images_column(images), "inference_seconds": inference_seconds}
            message = f"Finished: {len(images)} image(s), {inference_seconds:.2f} s of inference."
            return Ending("succeed_job", columns, [image.key for image in images], "INFO", message)
        case Failed(failure):
            columns = {"now": now, "failure_kind": failure.kind, "failure_message": failure.message}
            return Ending("fail_job", columns, [], "ERROR", failure.message)
        case Cancelled(images):
            columns = {"now": now, "finished_images": rows.images_column(images), **CANCELLED}
            message = f"Cancelled while it ran; {len(images)} image(s) were finished."
            return Ending("cancel_attempt", columns, [image.key for image in images], "INFO", message)
        case None:
            attempt = job.attempt - 1 if isinstance(outcome, HandedBack) else job.attempt
            message = (
                f"Attempt {job.attempt} was cut short ({_why(outcome).rstrip('.')}). The request waits for another."
            )
            return Ending("requeue_job", {"attempt": attempt}, [], "WARN", message)


def _why(outcome: Outcome) -> str:
    match outcome:
        case Interrupted(failure):
            return failure.message
        case HandedBack(reason):
            return reason
    return ""
