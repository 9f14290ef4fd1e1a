"""The requests of the shared store."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import asyncpg

from pipelet.concurrency.batch_loader import BatchLoader
from pipelet.domain.errors import StoreError
from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import CancelResult, Job, JobState
from pipelet.domain.jobs.outcome import CancelledBy
from pipelet.store import rows, transitions
from pipelet.store.accounts.limits import quota_from
from pipelet.store.jobs import NOT_CONFIRMED, Jobs
from pipelet.store.postgres.connection.pool import Connection, Result
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch
from pipelet.store.postgres.connection.wal_flush import WalFlush
from pipelet.store.queue import quota_error


class PostgresJobs(Jobs[PostgresQueries]):
    def __init__(self, queries: PostgresQueries) -> None:
        super().__init__(queries)
        self._wal_flush = WalFlush(queries.pool)
        self._loader = BatchLoader(self.get_many)

    async def submit(self, job: Job) -> Job:
        return await self._insert_durably(partial(_insert_job, job))

    async def submit_once(self, job: Job, key: IdempotencyKey) -> IdempotencyKey:
        return await self._insert_durably(partial(_insert_job_once, job, key))

    async def _insert_durably(self, insert: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run `insert`, which may run twice or more, and return when its rows are on disk."""
        pool = self._queries.pool
        inserted = await pool.run(insert)
        for _ in range(pool.max_size):  # at most this many connections may have died with the server
            try:
                await self._wal_flush.wait()
            except StoreError:  # the server died, perhaps before the row was on disk
                inserted = await pool.run(insert)
            else:
                break
        else:
            await self._wal_flush.wait()
        self._queries.notify(notify_workers=True)
        return inserted

    async def get(self, job_id: str) -> Job | None:
        return await self._loader.get(job_id)

    async def cancel(
        self, job_id: str, now: float, *, running: bool = False, by: CancelledBy = CancelledBy.USER
    ) -> CancelResult:
        end, request = transitions.cancelled_end(by), {"id": job_id, "now": now, "cancelled_by": by}
        while True:
            if await self._queries.write("end_queued_job", end.columns(job_id, now)):
                return CancelResult.CANCELLED
            if running and await self._queries.write("request_cancel", request, notify_workers=True):
                return CancelResult.STOPPING
            row = await self._queries.one("get_job_state", id=job_id)
            if row is None or row["state"] not in (JobState.QUEUED, JobState.RUNNING if running else JobState.QUEUED):
                return transitions.CANCEL_RESULTS[None if row is None else row["state"]]
            # It ran, and its worker was lost between two of the queries: now it can be cancelled.

    async def expire_overdue(self, now: float, limit: int) -> int:
        """One transaction per job, as in `PostgresLeases`."""

        async def end_one(connection: Connection) -> bool:
            async with connection.transaction():
                overdue = await fetch(connection, "list_overdue_jobs", {"now": now, "limit": 1})
                for row in overdue:
                    end = transitions.overdue_end(row["cancel_requested_at"])
                    await fetch(connection, "end_queued_job", end.columns(row["id"], now))
                return bool(overdue)

        ended = 0
        while ended < limit and await self._queries.pool.run(end_one):
            ended += 1
        if ended:
            self._queries.notify()
        return ended

    async def delete_finished(self, before: float, now: float, limit: int) -> int:
        values = {"before": before, "now": now, "limit": limit}
        deleted = await self._queries.write("delete_finished_jobs", values, durable=False, notify_watchers=False)
        before = now - transitions.DEAD_WORKER_RETENTION
        await self._queries.write("delete_dead_workers", {"before": before}, durable=False, notify_watchers=False)
        return len(deleted)


def _queued(job: Job, found: list[asyncpg.Record]) -> Job:
    """Return `job` with its place from the rows of a submit, which may say instead which quota is used up."""
    if not found:
        raise StoreError(NOT_CONFIRMED)
    row = found[0]
    if row["seq"] is not None:
        return replace(job, seq=row["seq"], turn=row["turn"])
    if row["key"] is not None:
        raise quota_error(json.loads(row["key"]), job.spec.batch_size)
    refusal = quota_from(json.loads(row["quota"])).refusal(job.spec.batch_size, job.submitted_at)
    raise refusal or StoreError(NOT_CONFIRMED)


async def _insert_job(job: Job, connection: Connection) -> Job:
    """Insert `job` and return it with its place. If it raises QuotaExceeded or InputImagesExpired, nothing happened."""
    is_limited, claim = job.is_limited or job.is_user_limited, transitions.input_file_claim(job)
    query = "submit_limited_job" if is_limited else "submit_job"
    if claim is None:
        return _queued(job, await fetch(connection, query, rows.job_columns(job)))
    async with connection.transaction():
        queued = _queued(job, await fetch(connection, query, rows.job_columns(job)))
        if len(await fetch(connection, "claim_input_files", claim)) < len(claim["keys"]):
            raise transitions.expired_input_error()
        return queued


async def _insert_job_once(job: Job, key: IdempotencyKey, connection: Connection) -> IdempotencyKey:
    wanted = rows.idempotency_key_columns(key, job.submitted_at)
    async with connection.transaction():
        # Waits for another transaction that claims the key: the constraint decides, and then its row can be read.
        while not await fetch(connection, "claim_idempotency_key", wanted):
            if known := await fetch(connection, "find_idempotency_key", wanted):
                return rows.idempotency_key_from(known[0])
            # It has expired by a clock that is ahead, and was deleted between the two queries.
        await _insert_job(job, connection)
    return key
