"""What somebody has to do now and then: take back the jobs of lost workers, and delete what has had its time.

Every part is safe to run in several processes at once.
"""

import structlog

from pipelet.domain.ports import BlobStore, Clock, JobStore

log = structlog.get_logger()

_AT_ONCE = 500
"""Rows or files of one round, so that no round holds up the queue for long."""


class Housekeeping:
    def __init__(self, store: JobStore, blobs: BlobStore, clock: Clock, *, retention_seconds: float) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._retention_seconds = retention_seconds

    async def take_back_expired(self) -> None:
        for job in await self._store.requeue_expired(self._clock.now()):
            log.warning("lease.expired", request_id=job.id, attempt=job.attempt, state=job.state)

    async def delete_old(self) -> None:
        """Requests first, files after: a result that can be read has its files."""
        now = self._clock.now()
        forgotten = await self._store.delete_finished(now - self._retention_seconds, now, _AT_ONCE)
        keys = await self._store.unclaimed_files(now, _AT_ONCE)
        for key in keys:
            await self._blobs.delete(key)
        await self._store.forget_files(keys)
        if forgotten or keys:
            log.info("retention.deleted", requests=forgotten, files=len(keys))
