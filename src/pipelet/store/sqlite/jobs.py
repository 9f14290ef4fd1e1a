"""The requests of the embedded store."""

import sqlite3
from dataclasses import replace
from typing import Any

from pipelet.domain.accounts.limits import CLOCK_TOLERANCE_SECONDS
from pipelet.domain.errors import PipeletError, StoreError
from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import CancelResult, Job
from pipelet.domain.jobs.outcome import CancelledBy
from pipelet.store import rows, transitions
from pipelet.store.accounts.limits import quota_from
from pipelet.store.jobs import NOT_CONFIRMED, Jobs
from pipelet.store.queue import quota_error
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, change, fetch, fetch_one, fetch_value
from pipelet.store.sqlite.turns import take_turn

_MAX_CACHED_JOBS = 4096


class SqliteJobs(Jobs[SqliteQueries]):
    def __init__(self, queries: SqliteQueries) -> None:
        super().__init__(queries)
        self._job_cache: dict[str, tuple[tuple[Any, ...], Job]] = {}

    async def submit(self, job: Job) -> Job:
        columns, claim = rows.job_columns(job), transitions.input_file_claim(job)
        result = await self._queries.writer.write(lambda db: _insert_job(db, job, columns, claim), notify_workers=True)
        if isinstance(result, PipeletError):
            raise result
        return result

    async def submit_once(self, job: Job, key: IdempotencyKey) -> IdempotencyKey:
        columns, claim = rows.job_columns(job), transitions.input_file_claim(job)
        wanted = rows.idempotency_key_columns(key, job.submitted_at)

        def operation(db: sqlite3.Connection) -> IdempotencyKey | PipeletError:
            if fetch_one(db, "claim_idempotency_key", wanted) is None:
                known = fetch_one(db, "find_idempotency_key", wanted)
                assert known is not None  # noqa: S101 - it prevented the claim
                return rows.idempotency_key_from(known)
            queued = _insert_job(db, job, columns, claim)
            if isinstance(queued, PipeletError):
                db.execute(SQL["release_idempotency_key"], wanted)
                return queued
            return key

        result = await self._queries.writer.write(operation, notify_workers=True)
        if isinstance(result, PipeletError):
            raise result
        return result

    async def get(self, job_id: str) -> Job | None:
        # A job is polled ten times a second and rarely changes in between: then its cached snapshot is still true.
        revisions, cached = await self._queries.all("get_job_revision", id=job_id), self._job_cache.get(job_id)
        if revisions and cached is not None and tuple(revisions[0]) == cached[0]:
            return cached[1]
        row = await self._queries.one("get_job", id=job_id)
        if row is None:
            self.forget(job_id)
            return None
        return self._cache_job(row)

    def forget(self, job_id: str) -> None:
        """Drop a deleted job from the cache: its prompt must not stay in memory."""
        self._job_cache.pop(job_id, None)

    def _cache_job(self, row: rows.Row) -> Job:
        job = rows.job_from(row)
        if len(self._job_cache) >= _MAX_CACHED_JOBS:
            self._job_cache.clear()
        self._job_cache[job.id] = (tuple(row[column] for column in rows.REVISION), job)
        return job

    async def cancel(
        self, job_id: str, now: float, *, running: bool = False, by: CancelledBy = CancelledBy.USER
    ) -> CancelResult:
        end, request = transitions.cancelled_end(by), {"id": job_id, "now": now, "cancelled_by": by}

        def operation(db: sqlite3.Connection) -> CancelResult:
            if end_queued_job(db, job_id, now, end):
                return CancelResult.CANCELLED
            if running and fetch_value(db, "request_cancel", request):
                return CancelResult.STOPPING
            return transitions.CANCEL_RESULTS[fetch_value(db, "get_job_state", {"id": job_id})]

        return await self._queries.writer.write(operation, notify_workers=running)

    async def expire_overdue(self, now: float, limit: int) -> int:
        if not await self._queries.all("list_overdue_jobs", now=now, limit=1):
            return 0  # a poll must not take the write lock

        def operation(db: sqlite3.Connection) -> int:
            overdue = fetch(db, "list_overdue_jobs", {"now": now, "limit": limit})
            for row in overdue:
                end_queued_job(db, row["id"], now, transitions.overdue_end(row["cancel_requested_at"]))
            return len(overdue)

        return await self._queries.writer.write(operation)

    async def delete_finished(self, before: float, now: float, limit: int) -> int:
        def operation(db: sqlite3.Connection) -> int:
            deleted = fetch(db, "delete_finished_jobs", {"before": before, "now": now, "limit": limit})
            for row in deleted:
                db.execute(SQL["release_job_files"], {"job_id": row["id"], "now": now})
            db.execute(SQL["delete_dead_workers"], {"before": now - transitions.DEAD_WORKER_RETENTION})
            return len(deleted)

        return await self._queries.writer.write(operation)


def end_queued_job(db: sqlite3.Connection, job_id: str, now: float, end: transitions.QueuedEnd) -> bool:
    """End a job that no worker has; False if it is not queued."""
    return change(db, end.columns(job_id, now), "end_queued_job", "insert_log_entry")


def _insert_job(
    db: sqlite3.Connection, job: Job, columns: dict[str, Any], claim: dict[str, Any] | None
) -> Job | PipeletError:
    """Return the job with its place, or the error: if it were raised, the whole batch would run once more."""
    if job.is_limited and (full := fetch_one(db, "key_at_queued_limit", columns)):
        return quota_error(full, job.spec.batch_size)
    is_expired = claim is not None and not _are_claimable(db, claim)
    if job.is_user_limited and (is_expired or not _charge_user(db, columns)):
        known = fetch_one(db, "get_user_quota", columns)
        if known is not None and (refusal := quota_from(known).refusal(job.spec.batch_size, job.submitted_at)):
            return refusal
        if known is not None and not is_expired:
            return StoreError(NOT_CONFIRMED)  # neither charged nor refused, so it must not be queued
    if is_expired:
        return transitions.expired_input_error()
    if claim is not None:
        db.execute(SQL["claim_input_files"], claim)
    return queue_job(db, job, columns)


def queue_job(db: sqlite3.Connection, job: Job, columns: dict[str, Any]) -> Job:
    """Insert `job`, whose `rows.job_columns` are given, and return it with its place in the queue."""
    turn = take_turn(db, columns)
    seq = db.execute(SQL["submit_job"], columns | turn).lastrowid or 0
    return replace(job, seq=seq, turn=turn["turn"])


def _charge_user(db: sqlite3.Connection, columns: dict[str, Any]) -> bool:
    """Count the job against its user's limits if they have room. Most do, so that nothing has to be read."""
    values = columns | {"clock_tolerance": CLOCK_TOLERANCE_SECONDS}
    return db.execute(SQL["charge_user"], values).rowcount > 0


def _are_claimable(db: sqlite3.Connection, claim: dict[str, Any]) -> bool:
    """Whether all of the files can be claimed."""
    return bool(fetch_value(db, "count_claimable_input_files", claim) >= len(claim["keys"]))
