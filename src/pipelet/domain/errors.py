"""All expected errors. Any other exception is a bug: it is logged and never explained to a caller."""

from collections.abc import Mapping
from typing import Any


class PipeletError(Exception):
    """The message is for people: what failed, then the fix."""


class AuthenticationError(PipeletError):
    """The caller is not allowed in."""


class InvalidKey(AuthenticationError):
    pass


class RefusedKey(InvalidKey):
    """A key, a session or a login code that is unknown, or valid no longer.

    Args:
        kind: `unknown`, `revoked` or `expired`, for statistics.
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class MissingScope(PipeletError):
    """The key does not allow the call.

    Args:
        scope: the one that is missing.
    """

    def __init__(self, message: str, scope: str) -> None:
        super().__init__(message)
        self.scope = scope


class NotFound(PipeletError):
    """It does not exist, or belongs to another user."""


class NotPossible(PipeletError):
    """The state of the request rules the action out."""


class CountDiffers(PipeletError):
    """A bulk action finds another number of requests than its caller expects.

    Args:
        found: number of requests that match now.
        expected: number that the caller named.
    """

    def __init__(self, *, found: int, expected: int) -> None:
        super().__init__(
            f"The filter finds {found:,} request{'' if found == 1 else 's'} now, not {expected:,}. Nothing was done. "
            f"Check the list, and send the same call with `expect` {found}."
        )
        self.found = found


class InvalidQuery(PipeletError):
    """A report was asked for that there cannot be; the message says how to ask."""


class IdempotencyKeyReused(PipeletError):
    """The key was sent before with another input.

    Args:
        key: the idempotency key that was sent.
    """

    def __init__(self, key: str) -> None:
        super().__init__("This key was sent before with another input. Send a new key with each new request.")
        self.key = key


class InvalidImage(PipeletError):
    """An input image cannot be fetched or used.

    Args:
        kind: fal's name of the error.
        context: figures of the error, such as the limit that was exceeded.
    """

    def __init__(self, kind: str, message: str, **context: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.context = context


class InvalidInputImages(PipeletError):
    """One or more input images of a request are invalid.

    Args:
        failures: the error of each invalid image, by its position in the request.
    """

    def __init__(self, failures: Mapping[int, InvalidImage]) -> None:
        super().__init__(" ".join(map(str, failures.values())))
        self.failures = failures


class AddressNotAllowed(PipeletError):
    """A URL of a user leads to an address that is not allowed."""


class TooBusy(PipeletError):
    """Too much of the same work is in progress; retry in a few seconds."""


class TooManyLookups(TooBusy):
    """No name was looked up; a retry may work in a moment."""


class InputImagesExpired(PipeletError):
    """Input images of a request are no longer stored."""


class QuotaExceeded(PipeletError):
    """No room now, by the limits of the key or its user; the same request is accepted later.

    Args:
        excess: number of images (of requests, if the queue is too long; of bytes, if the storage is full) by which the
            limit is exceeded.
    """

    retry_after: float | None = None
    """Seconds until a retry may succeed; None if that was not estimated."""
    is_of_user = False
    """Whether it is a limit of the user, for all keys together."""

    def __init__(self, message: str, *, excess: int) -> None:
        super().__init__(message)
        self.excess = excess


class QueueFull(QuotaExceeded):
    """The queue is longer than the client allows."""


class RotationTooSoon(PipeletError):
    """It would break other processes now; later it will not."""


class SubmitRateExceeded(QuotaExceeded):
    """The user submits too fast."""


class StorageLimitExceeded(QuotaExceeded):
    """The files of the user take too much space.

    Final: a client that retries would retry until requests are deleted.
    """


class UploadLimitExceeded(QuotaExceeded):
    """The user has too many uploads that no request has used. Final, as `StorageLimitExceeded`."""


class OperationalError(PipeletError):
    """The operator has to act; the message says how."""


class SchemaTooNew(OperationalError):
    pass


class StoreError(OperationalError):
    pass


class StoreUnavailable(StoreError):
    """The database cannot be reached."""


class BlobStoreError(OperationalError):
    pass


class ModelLoadError(OperationalError):
    pass


class EngineError(PipeletError):
    """An attempt to generate failed.

    The message may go to the user. `stderr_tail` is for the operator only: it may mention other users' requests."""

    def __init__(self, message: str, *, stderr_tail: str = "") -> None:
        super().__init__(message)
        self.stderr_tail = stderr_tail


class EngineDied(EngineError):
    """The process was killed, exited or crashed."""


class EngineTimeout(EngineError):
    """No progress within the stall limit; the process was killed."""


class InvalidInput(EngineError):
    """The model cannot generate from this input; the request is at fault."""


class GenerationFailed(EngineError):
    """The pipeline raised."""


class OutOfMemory(EngineError):
    """The device has too little memory for this micro-batch."""


class GenerationCancelled(EngineError):
    """Generation stopped because it was cancelled."""
