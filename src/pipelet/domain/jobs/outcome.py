"""How an attempt ends, as values, and the verdict on its job."""

from dataclasses import dataclass
from enum import StrEnum

from pipelet.domain.generation.image import StoredImage

MAX_ATTEMPTS = 3
"""Maximum attempts: a request that crashes its worker three times fails; its user may allow fewer."""


class FailureKind(StrEnum):
    """Machine-readable reasons, as `error_type` on the wire. The first five are fal's own words."""

    INVALID_INPUT = "value_error"
    INTERNAL = "internal_server_error"
    WORKER_LOST = "runner_disconnected"
    CANCELLED = "client_cancelled"
    REQUEST_TIMEOUT = "request_timeout"
    """It did not start before the deadline that its user set."""
    OUT_OF_MEMORY = "out_of_memory"
    INPUT_IMAGE_LOST = "image_load_error"
    """An input image is no longer stored."""


class CancelledBy(StrEnum):
    """Who cancelled a request."""

    USER = "user"
    """Its user, or a program with a key of its user."""
    OPERATOR = "operator"
    CONNECTION = "connection"
    """Its client closed the connection that waited for the images."""
    SERVICE = "service"
    """The service closed the connection that waited for the images."""


CANCEL_MESSAGES = {
    CancelledBy.USER: "Request cancelled by the client.",
    CancelledBy.OPERATOR: "Request cancelled by the operator.",
    CancelledBy.CONNECTION: "Request cancelled because its client closed the connection.",
    CancelledBy.SERVICE: "Request cancelled because the service ended the call that waited for it.",
}
"""Messages of the failures of cancelled requests."""


@dataclass(frozen=True, slots=True)
class Failure:
    kind: FailureKind
    message: str
    """For the user: what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    images: tuple[StoredImage, ...]
    inference_seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A verdict on the request itself: a retry would end the same way."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was cancelled while it ran; images that were finished by then stay."""

    images: tuple[StoredImage, ...]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """No verdict: the attempt was cut short, and is retried while attempts are left."""

    failure: Failure
    """The failure of the request when none are left."""
    advice: str = ""
    """Advice for the user in that case."""


@dataclass(frozen=True, slots=True)
class Released:
    """The worker returns the job as if it had never started: no attempt is counted."""

    reason: str


Outcome = Succeeded | Failed | Cancelled | Interrupted | Released
Verdict = Succeeded | Failed | Cancelled


def verdict(outcome: Outcome, attempt: int, *, max_attempts: int = MAX_ATTEMPTS) -> Verdict | None:
    """Return the end of the job, or None if it goes back to the queue. `attempt` counts from 1."""
    match outcome:
        case Succeeded() | Failed() | Cancelled():
            return outcome
        case Interrupted(failure, advice) if attempt >= max_attempts:
            tried = f"{failure.message} (tried {attempt} time{'' if attempt == 1 else 's'}) {advice}"
            return Failed(Failure(failure.kind, tried.rstrip()))
        case Interrupted() | Released():
            return None
