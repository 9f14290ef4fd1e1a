"""Claims the next job, and skips jobs that only a newer worker can generate."""

import asyncio
from collections import deque
from dataclasses import dataclass

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import cancel_on, wait_for_event
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import StoreError
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import ClaimRequest, Lease
from pipelet.domain.jobs.outcome import Released
from pipelet.domain.ports.store import Store
from pipelet.worker.config import WorkerConfig
from pipelet.worker.finish import Finisher
from pipelet.worker.lease_keeper import LeaseKeeper

log = structlog.get_logger()

_POLL_INTERVAL = 0.5
"""Seconds after which an idle worker polls, should it have missed a notification."""
_MAX_EXCLUDED_IDS = 1000
"""Maximum jobs to remember that need a newer worker. With that many queued, the workers should be upgraded."""


@dataclass(kw_only=True, eq=False)
class Claimer:
    config: WorkerConfig
    store: Store
    leases: LeaseKeeper
    finisher: Finisher
    stopping: asyncio.Event
    """Ends a wait for work."""
    force_stop: asyncio.Event
    """Ends the release of a job."""

    def __post_init__(self) -> None:
        self.work_available = asyncio.Event()
        """Set it when a job may have been queued."""
        self._excluded_ids: deque[str] = deque(maxlen=_MAX_EXCLUDED_IDS)
        self._backoff = Backoff(initial=_POLL_INTERVAL, maximum=5.0)
        self._throttle = LogThrottle()

    async def claim(self) -> Lease | None:
        """Claim a job, or wait until it is time to try again and return None."""
        self.work_available.clear()  # before the claim: a job that arrives from now on sets it again
        try:
            lease = await self.store.leases.claim(self._request())
        except StoreError as error:
            self._throttle.write(log.error, "claim.failed", reason=str(error))
            await wait_for_event(self.stopping, seconds=self._backoff.next())
            return None
        self._backoff.reset()
        if lease is None:
            await wait_for_event(self.stopping, self.work_available, seconds=_POLL_INTERVAL)
        elif lease.job.spec.unknown_fields:
            await cancel_on(self._release_to_newer_worker(lease), self.force_stop)
            return None
        return lease

    def _request(self) -> ClaimRequest:
        now = self.store.clock.now()
        return ClaimRequest(
            worker=self.config.name,
            apps=self.config.apps,
            token=new_token(),
            now=now,
            expires_at=now + self.config.lease_seconds,
            exclude_ids=tuple(self._excluded_ids),
        )

    async def _release_to_newer_worker(self, lease: Lease) -> None:
        """Leave a job whose spec this version does not know to a worker that does, without counting an attempt."""
        job = lease.job
        log.error(
            "request.worker_too_old",
            request_id=job.id,
            version=self.config.version,
            unknown_fields=job.spec.unknown_fields,
            reason="It was submitted to a newer version of Pipelet. Upgrade this worker.",
        )
        self._excluded_ids.append(job.id)
        with self.leases.hold(lease):
            await self.finisher.write(lease, Released("this worker's version is too old for it"))
