"""The leases of the shared store: claims of workers, and how their attempts end."""

from typing import Any

import asyncpg

from pipelet.domain.jobs.job import ClaimRequest, Job, Lease
from pipelet.domain.jobs.outcome import Outcome, Succeeded
from pipelet.domain.jobs.progress import Progress
from pipelet.store import transitions
from pipelet.store.postgres.connection.notifier import PostgresNotifier
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch
from pipelet.store.rows.jobs import job_from

_CLAIM_ATTEMPTS = 3
"""If other workers took what a limited key may run, the next attempt skips that key's jobs."""


class PostgresLeases:
    """Implements `domain.ports.store.LeaseStore`."""

    def __init__(
        self, pool: ConnectionPool, queries: PostgresQueries, work: PostgresNotifier, changes: PostgresNotifier
    ) -> None:
        self._pool = pool
        self._queries = queries
        self._work = work
        self._changes = changes

    async def claim(self, want: ClaimRequest) -> Lease | None:
        values = {
            "worker": want.worker,
            "token": want.token,
            "now": want.now,
            "expires_at": want.expires_at,
            "message": transitions.STARTED_ENTRY,
            "exclude_ids": list(want.exclude_ids),
        }
        for _ in range(_CLAIM_ATTEMPTS):
            heads = await self._queries.all("next_job_per_app", apps=list(want.apps), **values)
            for head in heads:
                # None: other workers have just taken all jobs, or all that this one's key may run.
                row = await self._queries.one("claim_job", app=head["app"], **values)
                if row is not None:
                    self._changes.notify()
                    return Lease(job=job_from(row), token=want.token, worker=want.worker, expires_at=want.expires_at)
            if not any(head["quota_limited"] for head in heads):
                break
        return None

    async def renew(self, lease: Lease, expires_at: float) -> bool:
        return bool(await self._queries.all("renew_lease", id=lease.job.id, token=lease.token, expires_at=expires_at))

    async def report_progress(self, lease: Lease, progress: Progress) -> bool:
        held = {"id": lease.job.id, "token": lease.token}
        noted = bool(await self._queries.all("report_progress", done=progress.done, total=progress.total, **held))
        if noted:
            self._changes.notify()
        return noted

    async def list_cancel_requests(self, worker: str) -> set[str]:
        return {row["lease_token"] for row in await self._queries.all("list_cancel_requests", worker=worker)}

    async def finish(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        runs = 0

        async def end(connection: Connection) -> bool:
            nonlocal runs
            runs += 1
            return await _finish_attempt(connection, lease.job, lease.token, outcome, now)

        if await self._pool.run_durable(end):
            if lease.job.is_limited:  # this may make room for other jobs of the key
                self._work.notify()
            self._changes.notify()
            return True
        # A connection can break after the commit and before its reply; then the second run finds the lease gone.
        return runs > 1 and isinstance(outcome, Succeeded) and await self._has_result(lease.job.id, outcome)

    async def _has_result(self, job_id: str, outcome: Succeeded) -> bool:
        row = await self._queries.one("get_job", id=job_id)
        return row is not None and job_from(row).images == outcome.images

    async def requeue_expired(self, now: float) -> list[Job]:
        return await self._interrupt_attempts("expired_leases", {"now": now}, transitions.EXPIRED, now)

    async def requeue_of_worker(self, worker: str, now: float) -> list[Job]:
        jobs = await self._interrupt_attempts("worker_leases", {"worker": worker}, transitions.ABANDONED, now)
        await self._queries.all("release_worker_name", name=worker)
        return jobs

    async def _interrupt_attempts(self, query: str, values: dict[str, Any], outcome: Outcome, now: float) -> list[Job]:
        """One transaction per job: a transaction for all would hold the counters of several priorities, and could meet
        another one that holds them in another order."""

        async def end_one(connection: Connection) -> asyncpg.Record | None:
            async with connection.transaction():
                found = await fetch(connection, query, values)
                if not found:
                    return None
                await _finish_attempt(connection, job_from(found[0]), found[0]["lease_token"], outcome, now)
                return (await fetch(connection, "get_job", {"id": found[0]["id"]}))[0]

        ended = []
        while (row := await self._pool.run(end_one)) is not None:
            ended.append(job_from(row))
        if ended:
            self._work.notify()
            self._changes.notify()
        return ended


async def _finish_attempt(connection: Connection, job: Job, token: str, outcome: Outcome, now: float) -> bool:
    """End the attempt if it still holds its lease."""
    transition = transitions.transition_for(job, outcome)
    values = transition.columns(job.id, token, now) | {"kept": list(transition.kept)}
    return bool(await fetch(connection, "finish_attempt", values))
