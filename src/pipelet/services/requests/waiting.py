"""Wait for the end of a request, for a caller who may leave before."""

import asyncio
from dataclasses import dataclass

import structlog

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.jobs.job import CancelResult, Job
from pipelet.domain.jobs.outcome import CancelledBy
from pipelet.domain.ports.store import Store
from pipelet.services.requests.status import StatusReader
from pipelet.services.requests.status_feed import StatusFeed

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Waits by the status feed of this process."""

    store: Store
    statuses: StatusReader
    feed: StatusFeed

    async def for_end(self, job_id: str, key: ApiKey, gone: "asyncio.Future[None]") -> bool:
        """Return True when the request ends; False if the caller is gone, its key is refused, or this process stops.

        Args:
            gone: done when the caller leaves.
        """
        job_status = await self.statuses.load(await self.statuses.get_job(job_id))
        with self.feed.watch(job_status, key) as watch:
            gone.add_done_callback(lambda _: watch.updated.set())
            while not job_status.job.state.is_final:
                if gone.done() or self.feed.is_closed or not (watch.exists and watch.is_admitted):
                    break
                await watch.updated.wait()
                watch.updated.clear()
                job_status = watch.job_status
            return job_status.job.state.is_final or not watch.exists

    async def cancel(self, job: Job, *, by: CancelledBy = CancelledBy.CONNECTION, running: bool = False) -> bool:
        """Cancel a request whose caller waits no longer. Return False if it continues, or has ended.

        Args:
            by: who ended the wait: the caller, who closed the connection, or the service.
            running: also where it has started.
        """
        result = await self.store.jobs.cancel(job.id, self.store.clock.now(), running=running, by=by)
        is_cancelled = result in (CancelResult.CANCELLED, CancelResult.STOPPING)
        if is_cancelled:
            log.info("request.client_disconnected", request_id=job.id)
        return is_cancelled
