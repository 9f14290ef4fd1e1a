"""What somebody has to do now and then: take back the jobs of lost workers, and delete what has had its time.

Every part is safe to run in several processes at once.
"""

import asyncio

import structlog

from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import BlobsUnusable
from pipelet.domain.ports import BlobStore, Clock, JobStore

log = structlog.get_logger()

TURN_SECONDS = 1.0
"""Between two looks for leases that have run out."""
_AT_ONCE = 50
"""Rows or files of one round: forgetting them takes a millisecond or two, and others get their turn in between."""


class Housekeeping:
    def __init__(
        self, store: JobStore, blobs: BlobStore, clock: Clock, *, retention_seconds: float, lease_seconds: float
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._retention_seconds = retention_seconds
        self._lease_seconds = lease_seconds
        self._last_turn = clock.now()
        self._patient_until = 0.0
        self._throttle = LogThrottle()

    async def take_back_expired(self) -> None:
        """To be called every `TURN_SECONDS`.

        When the last turn is much longer ago, this machine slept, or its clock jumped: workers that are well slept,
        too, and get the time to extend their leases first. Otherwise closing a laptop three times would fail a healthy
        request.
        """
        now = self._clock.now()
        if now - self._last_turn > TURN_SECONDS + self._lease_seconds / 2:
            self._patient_until = now + self._lease_seconds
        self._last_turn = now
        if now < self._patient_until:
            return
        for job in await self._store.requeue_expired(now):
            log.warning("lease.expired", request_id=job.id, attempt=job.attempt, state=job.state)

    async def end_overdue(self) -> None:
        """Requests that did not begin in the time that their users set. To be called every `TURN_SECONDS`."""
        while ended := await self._store.end_overdue(self._clock.now(), _AT_ONCE):
            log.info("deadline.passed", requests=ended)

    async def delete_old(self) -> None:
        """Requests first, files after: a result that can be read has its files."""
        now = self._clock.now()
        while forgotten := await self._store.delete_finished(now - self._retention_seconds, now, _AT_ONCE):
            log.info("retention.forgot", requests=forgotten)
        while await self._store.delete_idempotency_keys(now, _AT_ONCE):
            pass
        await self._delete_unclaimed_files(now)
        await self._store.truncate_log()

    async def _delete_unclaimed_files(self, now: float) -> None:
        passed_over = 0
        while keys := (await self._store.unclaimed_files(now, passed_over + _AT_ONCE))[passed_over:]:
            outcomes = await asyncio.gather(*map(self._delete, keys))
            deleted = [key for key, is_gone in zip(keys, outcomes, strict=True) if is_gone]
            if not deleted and len(keys) == _AT_ONCE:
                return  # it is not the files: whatever keeps them is away, and the next turn asks it again
            await self._store.forget_files(deleted)
            passed_over += len(keys) - len(deleted)
            log.info("retention.deleted", files=len(deleted))

    async def _delete(self, key: str) -> bool:
        """A file that cannot be deleted stays noted, and does not keep the others."""
        try:
            await self._blobs.delete(key)
        except BlobsUnusable as error:
            self._throttle.write(log.warning, "retention.kept", file=key, reason=str(error))
            return False
        return True
