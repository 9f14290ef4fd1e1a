"""The requests of the shared store, from submit to deletion."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from functools import partial

import asyncpg

from pipelet.concurrency.batch_loader import BatchLoader
from pipelet.domain.accounts.api_keys import queued_quota_exceeded
from pipelet.domain.errors import StoreError
from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import CancelResult, Job, JobRevision, JobState, LogEntry
from pipelet.store import transitions
from pipelet.store.postgres.connection.notifier import PostgresNotifier
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool, Result
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch
from pipelet.store.postgres.connection.wal_flush import WalFlush
from pipelet.store.rows import jobs as rows


class PostgresJobs:
    """Implements `domain.ports.store.JobStore`."""

    def __init__(
        self,
        pool: ConnectionPool,
        queries: PostgresQueries,
        wal_flush: WalFlush,
        work: PostgresNotifier,
        changes: PostgresNotifier,
    ) -> None:
        self._pool = pool
        self._queries = queries
        self._wal_flush = wal_flush
        self._work = work
        self._changes = changes
        self._loader = BatchLoader(self.get_many)

    async def submit(self, job: Job) -> Job:
        return replace(job, seq=await self._insert_durably(partial(_insert_job, job)))

    async def submit_once(self, job: Job, key: IdempotencyKey) -> IdempotencyKey:
        return await self._insert_durably(partial(_insert_job_once, job, key))

    async def _insert_durably(self, insert: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run `insert`, which may run twice or more, and return when its rows are on disk."""
        inserted = await self._pool.run(insert)
        for _ in range(self._pool.max_size):  # at most this many connections may have died with the server
            try:
                await self._wal_flush.wait()
            except StoreError:  # the server died, perhaps before the row was on disk
                inserted = await self._pool.run(insert)
            else:
                break
        else:
            await self._wal_flush.wait()
        self._work.notify()
        self._changes.notify()
        return inserted

    async def find_idempotency_key(self, user: str, key: str, now: float) -> IdempotencyKey | None:
        row = await self._queries.one("find_idempotency_key", owner=user, key=key, now=now)
        return None if row is None else rows.idempotency_key_from(row)

    async def get(self, job_id: str) -> Job | None:
        return await self._loader.get(job_id)

    async def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        return {row["id"]: rows.job_from(row) for row in await self._queries.all("get_jobs", ids=ids)}

    async def revisions(self, ids: Sequence[str]) -> dict[str, JobRevision]:
        return {row["id"]: rows.revision_from(row) for row in await self._queries.all("get_job_revisions", ids=ids)}

    async def log(self, job: Job) -> list[LogEntry]:
        entries = await self._queries.all("list_log_entries", job_id=job.id)
        return [rows.submitted_entry(job), *map(rows.log_entry_from, entries)]

    async def cancel(self, job_id: str, now: float, *, running: bool = False) -> CancelResult:
        while True:
            if await self._queries.run_durable("end_queued_job", **transitions.CANCELLED.columns(job_id, now)):
                self._changes.notify()
                return CancelResult.CANCELLED
            if running and await self._queries.run_durable("request_cancel", id=job_id, now=now):
                self._work.notify()
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
        while ended < limit and await self._pool.run(end_one):
            ended += 1
        if ended:
            self._changes.notify()
        return ended

    async def delete_finished(self, before: float, now: float, limit: int) -> int:
        deleted = await self._queries.all("delete_finished_jobs", before=before, now=now, limit=limit)
        await self._queries.all("delete_dead_workers", before=now - transitions.DEAD_WORKER_RETENTION)
        return len(deleted)

    async def delete_idempotency_keys(self, now: float, limit: int) -> int:
        return len(await self._queries.all("delete_idempotency_keys", now=now, limit=limit))

    async def finished_since(self, since: float, limit: int) -> list[Job]:
        return [rows.job_from(row) for row in await self._queries.all("list_finished_jobs", since=since, limit=limit)]


def _seq_of(job: Job, found: list[asyncpg.Record]) -> int:
    """Return the `seq` from the rows of a submit, which may say instead that the key's quota is used up."""
    if not found:
        raise StoreError("The database did not confirm the request. Submit it again.")
    seq: int | None = found[0]["seq"]
    if seq is None:
        full = found[0]
        raise queued_quota_exceeded(
            queued=full["queued_images"], allowed=full["max_queued_images"], images=job.spec.batch_size
        )
    return seq


async def _insert_job(job: Job, connection: Connection) -> int:
    """Insert `job` and return its `seq`. If it raises QuotaExceeded or InputImagesExpired, nothing happened."""
    query, claim = "submit_limited_job" if job.is_limited else "submit_job", transitions.input_file_claim(job)
    if claim is None:
        return _seq_of(job, await fetch(connection, query, rows.job_columns(job)))
    async with connection.transaction():
        seq = _seq_of(job, await fetch(connection, query, rows.job_columns(job)))
        if len(await fetch(connection, "claim_input_files", asdict(claim))) < len(claim.keys):
            raise transitions.expired_input_error()
        return seq


async def _insert_job_once(job: Job, key: IdempotencyKey, connection: Connection) -> IdempotencyKey:
    wanted = {**rows.idempotency_key_columns(key), "now": job.submitted_at}
    async with connection.transaction():
        # Waits for another transaction that claims the key: the constraint decides, and then its row can be read.
        while not await fetch(connection, "claim_idempotency_key", wanted):
            if known := await fetch(connection, "find_idempotency_key", wanted):
                return rows.idempotency_key_from(known[0])
            # It has expired by a clock that is ahead, and was deleted between the two queries.
        await _insert_job(job, connection)
    return key
