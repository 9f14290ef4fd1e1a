"""All expected errors, by name. Any other exception is a bug: it is logged and never explained to a caller.

PipeletError
├── AuthenticationError         the caller is not allowed in
│   └── InvalidKey
├── NotFound                    it does not exist, or belongs to another user
├── NotPossible                 the state of the request rules the action out
├── IdempotencyKeyReused        the key was sent before with another input
├── InvalidImage                an input image cannot be fetched or used
├── InvalidInputImages          one or more input images of a request are invalid
├── QuotaExceeded               no room now; the same request is accepted later
│   └── QueueFull               the queue is longer than the client allows; otherwise it is the key's limit
├── TooBusy                     too much of the same work is in progress; retry in a few seconds
├── AddressNotAllowed           a URL of a user leads to an address that is not allowed
├── InputImagesExpired          input images of a request are no longer stored
├── RotationTooSoon             it would break other processes now; later it will not
├── OperationalError            the operator has to act; the message says how
│   ├── SchemaTooNew
│   ├── StoreError
│   │   └── StoreUnavailable    the database cannot be reached
│   ├── BlobStoreError
│   └── ModelLoadError
└── EngineError                 an attempt to generate failed
    ├── EngineDied              the process was killed, exited or crashed
    ├── EngineTimeout           no progress within the stall limit; the process was killed
    ├── InvalidInput            the model cannot generate from this input; the request is at fault
    ├── GenerationFailed        the pipeline raised
    ├── OutOfMemory             the device has too little memory for this micro-batch
    └── GenerationCancelled     generation stopped because it was cancelled
"""

from collections.abc import Mapping
from typing import Any


class PipeletError(Exception):
    """The message is for people: what failed, then the fix."""


class AuthenticationError(PipeletError):
    pass


class InvalidKey(AuthenticationError):
    pass


class NotFound(PipeletError):
    pass


class NotPossible(PipeletError):
    pass


class IdempotencyKeyReused(PipeletError):
    """
    Args:
        key: the idempotency key that was sent.
    """

    def __init__(self, key: str) -> None:
        super().__init__("This key was sent before with another input. Send a new key with each new request.")
        self.key = key


class InvalidImage(PipeletError):
    """
    Args:
        kind: fal's name of the error.
        context: figures of the error, such as the limit that was exceeded.
    """

    def __init__(self, kind: str, message: str, **context: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.context = context


class InvalidInputImages(PipeletError):
    """
    Args:
        failures: the error of each invalid image, by its position in the request.
    """

    def __init__(self, failures: Mapping[int, InvalidImage]) -> None:
        super().__init__(" ".join(map(str, failures.values())))
        self.failures = failures


class AddressNotAllowed(PipeletError):
    pass


class TooBusy(PipeletError):
    pass


class TooManyLookups(TooBusy):
    """No name was looked up; a retry may work in a moment."""


class InputImagesExpired(PipeletError):
    pass


class QuotaExceeded(PipeletError):
    """
    Args:
        excess: number of images (of requests, if the queue is too long) that have to start or be cancelled first.
    """

    retry_after: float | None = None
    """Seconds until a retry may succeed; None if that was not estimated."""

    def __init__(self, message: str, *, excess: int) -> None:
        super().__init__(message)
        self.excess = excess


class RotationTooSoon(PipeletError):
    pass


class QueueFull(QuotaExceeded):
    pass


class OperationalError(PipeletError):
    pass


class SchemaTooNew(OperationalError):
    pass


class StoreError(OperationalError):
    pass


class StoreUnavailable(StoreError):
    pass


class BlobStoreError(OperationalError):
    pass


class ModelLoadError(OperationalError):
    pass


class EngineError(PipeletError):
    """The message may go to the user. `stderr_tail` is for the operator only: it may mention other users' requests."""

    def __init__(self, message: str, *, stderr_tail: str = "") -> None:
        super().__init__(message)
        self.stderr_tail = stderr_tail


class EngineDied(EngineError):
    pass


class EngineTimeout(EngineError):
    pass


class InvalidInput(EngineError):
    pass


class GenerationFailed(EngineError):
    pass


class OutOfMemory(EngineError):
    pass


class GenerationCancelled(EngineError):
    pass
