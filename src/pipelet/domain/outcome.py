"""How an attempt ends, as values; and what follows from it."""

from dataclasses import dataclass
from enum import StrEnum

from pipelet.domain.image import StoredImage

MAX_ATTEMPTS = 3
"""A request that takes its worker down three times fails, before it takes a fourth; its user may allow less."""


class FailureKind(StrEnum):
    """Machine-readable reasons, as `error_type` on the wire. The first five are fal's own words."""

    INVALID_INPUT = "value_error"
    INTERNAL = "internal_server_error"
    WORKER_LOST = "runner_disconnected"
    CANCELLED = "client_cancelled"
    REQUEST_TIMEOUT = "request_timeout"
    """It had not begun by the time that its user had set."""
    OUT_OF_MEMORY = "out_of_memory"
    REFERENCE_LOST = "image_load_error"
    """A picture that the edit starts from is not there any more."""


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
    """A verdict on the request itself: trying again would end the same way."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The user had it stopped while it was drawn; what was finished by then stays."""

    images: tuple[StoredImage, ...]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """No verdict: the attempt was cut short. It is tried again while attempts are left."""

    failure: Failure
    """What the request fails with when none are left."""
    advice: str = ""
    """For the user, then: what to do."""


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The worker stops and returns the job as if it had never begun: no attempt is counted."""

    reason: str


Outcome = Succeeded | Failed | Cancelled | Interrupted | HandedBack
Verdict = Succeeded | Failed | Cancelled


def verdict(outcome: Outcome, attempt: int, *, max_attempts: int = MAX_ATTEMPTS) -> Verdict | None:
    """The end of the job, or None where it goes back to the queue. `attempt` counts from 1."""
    match outcome:
        case Succeeded() | Failed() | Cancelled():
            return outcome
        case Interrupted(failure, advice) if attempt >= max_attempts:
            tried = f"{failure.message} (tried {attempt} time{'' if attempt == 1 else 's'}) {advice}"
            return Failed(Failure(failure.kind, tried.rstrip()))
        case Interrupted() | HandedBack():
            return None
