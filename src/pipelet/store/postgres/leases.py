"""The leases of the shared store."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from pipelet.domain.jobs.job import ClaimRequest, Job, Lease
from pipelet.domain.jobs.outcome import Outcome, Succeeded
from pipelet.store import transitions
from pipelet.store.leases import Leases
from pipelet.store.postgres.connection.pool import Connection
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch
from pipelet.store.rows import job_from

_CLAIM_ATTEMPTS = 3
"""If other workers took what a limited key may run, the next attempt skips that key's jobs."""


class PostgresLeases(Leases[PostgresQueries]):
    async def claim(self, want: ClaimRequest) -> Lease | None:
        values = {
            "worker": want.worker,
            "token": want.token,
            "now": want.now,
            "expires_at": want.expires_at,
            "message": transitions.STARTED_ENTRY,
            "exclude_ids": want.exclude_ids,
        }
        for _ in range(_CLAIM_ATTEMPTS):
            heads = await self._queries.all("next_job_per_app", apps=want.apps, **values)
            for head in heads:
                # None: other workers have just taken all jobs, or all that this one's key may run.
                query = "claim_limited_job" if head["quota_limited"] else "claim_job"
                claimed = await self._queries.write(query, {**head, **values}, durable=False)
                if claimed:
                    job = job_from(claimed[0])
                    return Lease(job=job, token=want.token, worker=want.worker, expires_at=want.expires_at)
            if not any(head["quota_limited"] for head in heads):
                break
        return None

    async def finish(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        runs = 0

        async def end(connection: Connection) -> bool:
            nonlocal runs
            runs += 1
            return await _finish_attempt(connection, lease.job, lease.token, outcome, now)

        if await self._queries.pool.run_durable(end):
            self._queries.notify(notify_workers=lease.job.is_limited)  # it may make room for other jobs of the key
            return True
        # A connection can break after the commit and before its reply; then the second run finds the lease gone.
        return runs > 1 and isinstance(outcome, Succeeded) and await self._has_result(lease.job.id, outcome)

    async def _has_result(self, job_id: str, outcome: Succeeded) -> bool:
        row = await self._queries.one("get_job", id=job_id)
        return row is not None and job_from(row).images == outcome.images

    async def _interrupt_attempts(
        self, query: str, values: Mapping[str, Any], outcome: Outcome, now: float
    ) -> list[Job]:
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
        while (row := await self._queries.pool.run(end_one)) is not None:
            ended.append(job_from(row))
        if ended:
            self._queries.notify(notify_workers=True)
        return ended


async def _finish_attempt(connection: Connection, job: Job, token: str, outcome: Outcome, now: float) -> bool:
    """End the attempt if it still holds its lease."""
    return bool(await fetch(connection, "finish_attempt", transitions.attempt_end(job, token, outcome, now)))
