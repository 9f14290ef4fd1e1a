"""What an attempt's trouble with the engine means for the request."""

from pipelet.domain.errors import DrawOutOfMemory, DrawRefused, EngineDied, EngineError, EngineStalled
from pipelet.domain.outcome import Failed, Failure, FailureKind, Interrupted, Outcome


def outcome_of(error: EngineError, *, images_at_once: int) -> Outcome:
    """`images_at_once` is the largest part of the attempt: what does not fit together may fit one by one."""
    match error:
        case DrawRefused():
            return Failed(Failure(FailureKind.INVALID_INPUT, str(error)))
        case DrawOutOfMemory() if images_at_once > 1:
            return Interrupted(Failure(FailureKind.OUT_OF_MEMORY, str(error)))
        case DrawOutOfMemory():
            return Failed(Failure(FailureKind.OUT_OF_MEMORY, f"{error} Ask for a smaller width and height."))
        case EngineDied() | EngineStalled():
            return Interrupted(Failure(FailureKind.WORKER_LOST, str(error)))
        case _:
            return Failed(Failure(FailureKind.INTERNAL, str(error)))
