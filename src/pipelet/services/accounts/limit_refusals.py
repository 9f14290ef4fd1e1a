"""Requests that limits refused, counted by user, day and reason."""

from collections import Counter
from enum import StrEnum
from typing import Protocol

from pipelet.domain.accounts.limits import Refusal, days_before
from pipelet.domain.errors import (
    QueueFull,
    QuotaExceeded,
    StorageLimitExceeded,
    SubmitRateExceeded,
    UploadLimitExceeded,
)
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.limits import LimitStore

_KEPT_DAYS = 400


class Reason(StrEnum):
    QUEUED_IMAGES = "queued_images"
    SUBMIT_RATE = "submit_rate"
    STORAGE = "storage"
    UPLOADS = "uploads"
    QUEUE_LENGTH = "queue_length"
    """More requests wait than the client itself allows."""
    PRIORITY = "priority"
    BATCH_SIZE = "batch_size"


_REASONS = {
    QueueFull: Reason.QUEUE_LENGTH,
    SubmitRateExceeded: Reason.SUBMIT_RATE,
    StorageLimitExceeded: Reason.STORAGE,
    UploadLimitExceeded: Reason.UPLOADS,
    QuotaExceeded: Reason.QUEUED_IMAGES,
}


def reason_of(error: QuotaExceeded) -> Reason:
    return _REASONS[type(error)]


class RefusalObserver(Protocol):
    """Counts refusals, such as the metrics, which do not know users: there may be too many."""

    def rejected(self, reason: str) -> None: ...


class LimitRefusals:
    """Counts in memory: a client that is refused often must not make the database write as often."""

    def __init__(self, limits: LimitStore, clock: Clock, observer: RefusalObserver) -> None:
        self._limits = limits
        self._clock = clock
        self._observer = observer
        self._counts: Counter[Refusal] = Counter()

    def add(self, user: str, reason: Reason) -> None:
        self._observer.rejected(reason)
        self._counts[Refusal(days_before(self._clock.now(), 0), user, reason)] += 1

    async def flush(self) -> None:
        """Write what was counted since the last call. A crash loses that.

        Raises:
            StoreError: it is written with the next call.
        """
        for refusal in list(self._counts):
            requests = self._counts.pop(refusal)
            try:
                await self._limits.add_refusals(refusal, requests)
            except BaseException:
                self._counts[refusal] += requests
                raise

    async def prune(self) -> None:
        """Delete the numbers of days that are long past."""
        await self._limits.delete_refusals(days_before(self._clock.now(), _KEPT_DAYS))
