"""Everything that can go wrong, by name. Anything outside this tree is a bug: logged, and never explained to a caller.

PipeletError
├── NotAllowed            who asks may not
│   ├── KeyMissing
│   ├── KeyMalformed
│   └── KeyRefused
├── NotFound              there is no such thing, or not for the one who asks
├── LimitReached          there is no room now; later the same request is taken
│   └── QueueTooLong      more wait than its user puts up with; otherwise it is the key's limit
├── AddressRefused        a user's URL leads to where we do not go
├── ReferencesGone        pictures that a request starts from are not stored any more
├── TooEarly              it would harm others now; later it will not
├── Unusable              something the operator has to mend; the message says how
│   ├── StoreNewer
│   ├── StoreUnusable
│   │   └── StoreAway     the database cannot be reached just now
│   ├── BlobsUnusable
│   └── ModelUnusable
└── EngineError           an attempt at drawing came to nothing
    ├── EngineDied        the process is gone: killed, exited, or it crashed
    ├── EngineStalled     no progress within the stall limit; the process was killed
    ├── DrawRefused       the model cannot draw this input; the request is at fault
    ├── DrawFailed        the pipeline raised
    ├── DrawOutOfMemory   the device has not enough memory for this part
    └── DrawCancelled     drawing stopped because it was told to
"""


class PipeletError(Exception):
    """The message is for people, and says what to do."""


class NotAllowed(PipeletError):
    pass


class KeyMissing(NotAllowed):
    pass


class KeyMalformed(NotAllowed):
    pass


class KeyRefused(NotAllowed):
    pass


class NotFound(PipeletError):
    pass


class AddressRefused(PipeletError):
    pass


class TooManyLookups(PipeletError):
    """No name was looked up: the same may work in a moment."""


class ReferencesGone(PipeletError):
    pass


class LimitReached(PipeletError):
    """
    Args:
        excess: so many images, or requests where it is the queue's length, have to begin or go before it is lifted.
    """

    again_in: float | None = None
    """Seconds until that may be, once somebody has looked."""

    def __init__(self, message: str, *, excess: int) -> None:
        super().__init__(message)
        self.excess = excess


class TooEarly(PipeletError):
    pass


class QueueTooLong(LimitReached):
    pass


class Unusable(PipeletError):
    pass


class StoreNewer(Unusable):
    pass


class StoreUnusable(Unusable):
    pass


class StoreAway(StoreUnusable):
    pass


class BlobsUnusable(Unusable):
    pass


class ModelUnusable(Unusable):
    pass


class EngineError(PipeletError):
    """The message may go to the user. What the process printed is for the operator alone: it may speak of others."""

    def __init__(self, message: str, *, last_words: str = "") -> None:
        super().__init__(message)
        self.last_words = last_words


class EngineDied(EngineError):
    pass


class EngineStalled(EngineError):
    pass


class DrawRefused(EngineError):
    pass


class DrawFailed(EngineError):
    pass


class DrawOutOfMemory(EngineError):
    pass


class DrawCancelled(EngineError):
    pass
