"""Leases: how the attempts of workers run and end."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from pipelet.domain.jobs.job import AttemptSignals, Job, Lease
from pipelet.domain.jobs.outcome import Outcome
from pipelet.domain.jobs.progress import Progress
from pipelet.store import transitions
from pipelet.store.queries import DialectQueries, SmallStore
from pipelet.store.rows import Row


class Leases(SmallStore[DialectQueries]):
    """Implements `domain.ports.store.LeaseStore`, except `claim` and `finish`."""

    async def renew(self, lease: Lease, expires_at: float) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "expires_at": expires_at}
        return bool(await self._queries.write("renew_lease", values, durable=False, notify_watchers=False))

    async def report_progress(self, lease: Lease, progress: Progress) -> AttemptSignals | None:
        values = {"id": lease.job.id, "token": lease.token, "done": progress.done, "total": progress.total}
        found = await self._queries.write("report_progress", values, durable=False)
        return _signals_from(found[0]) if found else None

    async def list_signals(self, worker: str, now: float) -> dict[str, AttemptSignals]:
        found = await self._queries.all("list_attempt_signals", worker=worker, now=now)
        return {row["lease_token"]: _signals_from(row) for row in found}

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


def _signals_from(row: Row) -> AttemptSignals:
    return AttemptSignals(row["cancel_requested_at"] is not None, row["wanted_until"])
