"""Leases: how the attempts of workers run and end."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import Outcome
from pipelet.domain.jobs.progress import Progress
from pipelet.store import transitions
from pipelet.store.queries import DialectQueries, SmallStore


class Leases(SmallStore[DialectQueries]):
    """Implements `domain.ports.store.LeaseStore`, except `claim` and `finish`."""

    async def renew(self, lease: Lease, expires_at: float) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "expires_at": expires_at}
        return bool(await self._queries.write("renew_lease", values, durable=False, notify_watchers=False))

    async def report_progress(self, lease: Lease, progress: Progress) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "done": progress.done, "total": progress.total}
        return bool(await self._queries.write("report_progress", values, durable=False))

    async def list_cancel_requests(self, worker: str) -> set[str]:
        return {row["lease_token"] for row in await self._queries.all("list_cancel_requests", worker=worker)}

    async def requeue_expired(self, now: float) -> list[Job]:
        return await self._interrupt_attempts("list_expired_leases", {"now": now}, transitions.EXPIRED, now)

    async def requeue_of_worker(self, worker: str, now: float) -> list[Job]:
        jobs = await self._interrupt_attempts("list_worker_leases", {"worker": worker}, transitions.ABANDONED, now)
        await self._queries.write("release_worker_name", {"name": worker}, durable=False, notify_watchers=False)
        return jobs

    @abstractmethod
    async def _interrupt_attempts(
        self, query: str, values: Mapping[str, Any], outcome: Outcome, now: float
    ) -> list[Job]:
        """End the attempts that `query` finds. Return the jobs as they are afterwards."""
