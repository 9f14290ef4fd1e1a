"""The leases of the embedded store: claims of workers, and how their attempts end."""

import json
import sqlite3
from typing import Any

from pipelet.domain.jobs.job import ClaimRequest, Job, Lease
from pipelet.domain.jobs.outcome import Outcome
from pipelet.domain.jobs.progress import Progress
from pipelet.store import transitions
from pipelet.store.rows.jobs import job_from
from pipelet.store.sqlite.connection.group_commit import GroupCommit
from pipelet.store.sqlite.connection.queries import (
    SQL,
    SqliteQueries,
    as_json,
    fetch,
    fetch_one,
    fetch_value,
    log_entry,
)


class SqliteLeases:
    """Implements `domain.ports.store.LeaseStore`."""

    def __init__(self, queries: SqliteQueries, writer: GroupCommit) -> None:
        self._queries = queries
        self._writer = writer

    async def claim(self, want: ClaimRequest) -> Lease | None:
        wanted = {"apps": as_json(want.apps), "exclude_ids": as_json(want.exclude_ids), "now": want.now}
        if not self._queries.all("any_claimable", **wanted)[0][0]:
            return None  # an idle worker that polls must not take the write lock

        def operation(db: sqlite3.Connection) -> Job | None:
            lease = {"worker": want.worker, "token": want.token, "expires_at": want.expires_at}
            row = fetch_one(db, "claim_job", wanted | lease)
            if row is None:
                return None
            job = job_from(row)
            log_entry(db, job.id, want.now, "INFO", transitions.STARTED_ENTRY % job.attempt)
            return job

        # A power cut may undo it: then the job waits again, as after its worker was lost. That is not worth an fsync.
        job = await self._writer.write(operation, durable=False)
        if job is None:
            return None
        return Lease(job=job, token=want.token, worker=want.worker, expires_at=want.expires_at)

    async def renew(self, lease: Lease, expires_at: float) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "expires_at": expires_at}
        return bool(await self._queries.write("renew_lease", values, durable=False, notify_watchers=False))

    async def report_progress(self, lease: Lease, progress: Progress) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "done": progress.done, "total": progress.total}
        return bool(await self._queries.write("report_progress", values, durable=False))

    async def list_cancel_requests(self, worker: str) -> set[str]:
        return {row["lease_token"] for row in self._queries.all("list_cancel_requests", worker=worker)}

    async def finish(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        # The end of a limited key's job may make room for others of its jobs.
        return await self._writer.write(
            lambda db: _finish_attempt(db, lease.job, lease.token, outcome, now), notify_workers=lease.job.is_limited
        )

    async def requeue_expired(self, now: float) -> list[Job]:
        return await self._interrupt_attempts("expired_leases", {"now": now}, transitions.EXPIRED, now)

    async def requeue_of_worker(self, worker: str, now: float) -> list[Job]:
        jobs = await self._interrupt_attempts("worker_leases", {"worker": worker}, transitions.ABANDONED, now)
        await self._queries.write("release_worker_name", {"name": worker})
        return jobs

    async def _interrupt_attempts(self, query: str, values: dict[str, Any], outcome: Outcome, now: float) -> list[Job]:
        if not self._queries.all(query, **values):
            return []

        def operation(db: sqlite3.Connection) -> list[Job]:
            found = fetch(db, query, values)
            for row in found:
                _finish_attempt(db, job_from(row), row["lease_token"], outcome, now)
            after = [fetch_one(db, "get_job", {"id": row["id"]}) for row in found]
            return [job_from(row) for row in after if row is not None]

        return await self._writer.write(operation, notify_workers=True)


def _finish_attempt(db: sqlite3.Connection, job: Job, token: str, outcome: Outcome, now: float) -> bool:
    """End the attempt if it still holds its lease."""
    transition = transitions.transition_for(job, outcome)
    columns = transition.columns(job.id, token, now)
    ended = bool(fetch_value(db, "finish_attempt", columns))
    if ended:
        db.execute(SQL["release_attempt_files"], columns | {"job_id": job.id, "kept": json.dumps(transition.kept)})
        log_entry(db, job.id, now, transition.level, transition.message)
    return ended
