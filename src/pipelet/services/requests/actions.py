"""What callers do to requests that exist: cancel, retry, keep and delete. `bulk.py` does it to many."""

from dataclasses import dataclass

import structlog

from pipelet.domain.accounts.audit import Action
from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import NotFound, NotPossible
from pipelet.domain.jobs.job import CancelResult, DeleteResult, Job, JobState
from pipelet.domain.jobs.outcome import CancelledBy
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import Store
from pipelet.services.accounts import audit
from pipelet.services.accounts.access import Caller
from pipelet.services.queue import admin
from pipelet.services.requests.lists import get_job_to_change
from pipelet.services.requests.status import NO_SUCH_REQUEST
from pipelet.services.stored_files import delete_files

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RequestActions:
    """Own requests, and with the scope `operate` those of all users."""

    store: Store
    blobs: BlobStore
    catalog: Catalog

    async def keep(self, caller: Caller, request_id: str, kept: bool) -> None:
        """Keep a request from retention, or stop keeping it.

        Raises:
            NotFound, MissingScope: as `get_job_to_change`.
            StorageLimitExceeded: its user has no room for files that stay.
        """
        job = await get_job_to_change(self.store, caller, request_id)
        if kept and not caller.key.is_admin and (full := (await self.store.limits.quota(job.user)).storage_refusal()):
            raise full
        if not await self.store.history.set_kept(job.id, kept):
            raise NotFound(NO_SUCH_REQUEST)
        if job.user != caller.user:
            values = {"kept": job.kept}, {"kept": kept}
            await audit.record(self.store, caller.actor, Action.KEEP_REQUEST, job.id, before=values[0], after=values[1])
        log.info("request.kept" if kept else "request.not_kept", request_id=job.id, user=job.user, by=caller.key.id)

    async def delete(self, caller: Caller, request_id: str) -> None:
        """Delete a request and its files; a queued one is cancelled first.

        Raises:
            NotFound, MissingScope: as `get_job_to_change`.
            NotPossible: it is running.
        """
        job = await get_job_to_change(self.store, caller, request_id)
        match await self.delete_job(caller, job):
            case DeleteResult.NOT_ENDED:
                raise NotPossible(
                    f"{job.id} is running. Delete it when it has ended; "
                    f"to stop it, call PUT /fal/queue/{job.app}/requests/{job.id}/cancel?in_progress=true."
                )
            case DeleteResult.UNKNOWN:
                raise NotFound(NO_SUCH_REQUEST)
            case DeleteResult.DELETED if job.user != caller.user:
                await audit.record(self.store, caller.actor, Action.DELETE_REQUESTS, job.id)

    async def cancel_job(self, caller: Caller, job: Job) -> bool:
        """Returns False if it is not queued any more."""
        now = self.store.clock.now()
        if job.user == caller.user:
            is_cancelled = await self.store.jobs.cancel(job.id, now) is CancelResult.CANCELLED
        else:
            is_cancelled = bool(await self.store.queue.cancel_queued([job.id], now))
        if is_cancelled:
            log.info("request.cancelled", request_id=job.id, user=job.user, by=caller.key.id)
        return is_cancelled

    async def stop_job(self, caller: Caller, job: Job) -> bool:
        """Notify the worker of a job that it has to stop. Returns False if it has ended."""
        by = CancelledBy.USER if job.user == caller.user else CancelledBy.OPERATOR
        result = await self.store.jobs.cancel(job.id, self.store.clock.now(), running=True, by=by)
        is_stopping = result in (CancelResult.CANCELLED, CancelResult.STOPPING)
        if is_stopping:
            log.info("request.cancelled", request_id=job.id, user=job.user, by=caller.key.id)
        return is_stopping

    async def retry_job(self, caller: Caller, job: Job) -> str:
        """Queue a copy of a failed or cancelled request, for the same user. Returns its id.

        Raises:
            NotFound, NotPossible: it is gone, did not fail, or its input is not stored.
            QuotaExceeded, InputImagesExpired: as a submit.
        """
        key = caller.key if job.user == caller.user else None
        new_id = await admin.queue_copy(self.store, self.catalog, job.id, key=key)
        log.info("request.retried", request_id=job.id, new_id=new_id, user=job.user, by=caller.key.id)
        return new_id

    async def delete_job(self, caller: Caller, job: Job) -> DeleteResult:
        if job.state is JobState.QUEUED:
            await self.cancel_job(caller, job)
        deletion = await self.store.history.delete(job.id, self.store.clock.now())
        if deletion.result is DeleteResult.DELETED:
            log.info("request.deleted", request_id=job.id, user=job.user, by=caller.key.id)
            await delete_files(self.store.files, self.blobs, deletion.orphans)
        return deletion.result
