"""Periodic maintenance: requeue jobs with expired leases, end overdue ones and delete old ones.

Several processes may run it at the same time.
"""

import asyncio

import structlog

from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import BlobStoreError
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import Store

log = structlog.get_logger()

INTERVAL_SECONDS = 1.0
"""Seconds between two checks for expired leases."""
_PREVIEW_SECONDS = 60.0
"""Seconds after which a preview that no client asks for any more is deleted."""
_CHUNK_SIZE = 50
"""Rows or files deleted at once, which takes a millisecond or two; other tasks run in between."""


class Maintenance:
    def __init__(self, store: Store, blobs: BlobStore, *, retention_seconds: float, lease_seconds: float) -> None:
        self._store = store
        self._blobs = blobs
        self._retention_seconds = retention_seconds
        self._lease_seconds = lease_seconds
        self._last_run = store.clock.now()
        self._grace_until = 0.0
        self._throttle = LogThrottle()

    async def requeue_expired(self) -> None:
        """Requeue the jobs of lost workers. Call it every `INTERVAL_SECONDS`.

        If the last call is much longer ago, this machine slept or its clock jumped. Healthy workers slept as well, and
        get time to extend their leases first; otherwise closing a laptop three times would fail a healthy request.
        """
        now = self._store.clock.now()
        if now - self._last_run > INTERVAL_SECONDS + self._lease_seconds / 2:
            self._grace_until = now + self._lease_seconds
        self._last_run = now
        if now < self._grace_until:
            return
        for job in await self._store.leases.requeue_expired(now):
            log.warning("lease.expired", request_id=job.id, attempt=job.attempt, state=job.state)

    async def expire_overdue(self) -> None:
        """End requests that did not start in the time that their users set. Call it every `INTERVAL_SECONDS`."""
        while ended := await self._store.jobs.expire_overdue(self._store.clock.now(), _CHUNK_SIZE):
            log.info("jobs.expired", requests=ended)

    async def prune(self) -> None:
        """Delete old requests and uploads, then their files: a result that can be read has its files."""
        now = self._store.clock.now()
        while deleted := await self._store.jobs.delete_finished(now - self._retention_seconds, now, _CHUNK_SIZE):
            log.info("retention.jobs_deleted", requests=deleted)
        while await self._store.jobs.delete_idempotency_keys(now, _CHUNK_SIZE):
            pass
        while expired := await self._store.uploads.delete_expired(now, _CHUNK_SIZE):
            log.info("retention.uploads_deleted", uploads=expired)
        account = await self._store.queue.delete_idle_accounts(None, _CHUNK_SIZE)
        while account is not None:
            account = await self._store.queue.delete_idle_accounts(account, _CHUNK_SIZE)
        await self._store.previews.delete_expired(now - _PREVIEW_SECONDS)
        await self._delete_orphaned_files(now)
        await self._store.truncate_log()

    async def _delete_orphaned_files(self, now: float) -> None:
        skipped = 0
        while keys := (await self._store.files.orphaned(now, skipped + _CHUNK_SIZE))[skipped:]:
            outcomes = await asyncio.gather(*map(self._delete, keys))
            deleted = [key for key, is_gone in zip(keys, outcomes, strict=True) if is_gone]
            if not deleted and len(keys) == _CHUNK_SIZE:
                return  # every delete failed, so the blob store is down; retry on the next run
            await self._store.files.delete_rows(deleted)
            skipped += len(keys) - len(deleted)
            log.info("retention.files_deleted", files=len(deleted))

    async def _delete(self, key: str) -> bool:
        """Returns False if the file cannot be deleted now; it stays recorded and does not block others."""
        try:
            await self._blobs.delete(key)
        except BlobStoreError as error:
            self._throttle.write(log.warning, "retention.delete_failed", file=key, reason=str(error))
            return False
        return True
