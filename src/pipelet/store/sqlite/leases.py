"""The leases of the embedded store."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from pipelet.domain.jobs.job import ClaimRequest, Job, Lease
from pipelet.domain.jobs.outcome import Outcome
from pipelet.store import transitions
from pipelet.store.leases import Leases
from pipelet.store.rows import job_from
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, change, fetch, fetch_one


class SqliteLeases(Leases[SqliteQueries]):
    async def claim(self, want: ClaimRequest) -> Lease | None:
        wanted = {"apps": want.apps, "exclude_ids": want.exclude_ids, "now": want.now}
        for query in ("any_unlimited_job", "next_job"):
            if await self._queries.one(query, **wanted):
                break
        else:
            return None  # an idle worker that polls must not take the write lock

        def operation(db: sqlite3.Connection) -> Job | None:
            found = fetch_one(db, "next_job", wanted)
            if found is None:
                return None
            lease = {"worker": want.worker, "token": want.token, "expires_at": want.expires_at, "now": want.now}
            [row] = fetch(db, "claim_job", lease | {"seq": found["seq"]})
            job = job_from(row)
            entry = {"level": "INFO", "message": transitions.STARTED_ENTRY % job.attempt}
            db.execute(SQL["insert_log_entry"], {"id": job.id, "now": want.now, **entry})
            return job

        # A power cut may undo it: then the job waits again, as after its worker was lost. That is not worth an fsync.
        job = await self._queries.writer.write(operation, durable=False)
        if job is None:
            return None
        return Lease(job=job, token=want.token, worker=want.worker, expires_at=want.expires_at)

    async def finish(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        # The end of a limited key's job may make room for others of its jobs.
        return await self._queries.writer.write(
            lambda db: _finish_attempt(db, lease.job, lease.token, outcome, now), notify_workers=lease.job.is_limited
        )

    async def _interrupt_attempts(
        self, query: str, values: Mapping[str, Any], outcome: Outcome, now: float
    ) -> list[Job]:
        if not await self._queries.all(query, **values):
            return []

        def operation(db: sqlite3.Connection) -> list[Job]:
            found = fetch(db, query, values)
            for row in found:
                _finish_attempt(db, job_from(row), row["lease_token"], outcome, now)
            after = [fetch_one(db, "get_job", {"id": row["id"]}) for row in found]
            return [job_from(row) for row in after if row is not None]

        return await self._queries.writer.write(operation, notify_workers=True)


def _finish_attempt(db: sqlite3.Connection, job: Job, token: str, outcome: Outcome, now: float) -> bool:
    """End the attempt if it still holds its lease."""
    values = transitions.attempt_end(job, token, outcome, now)
    return change(db, values, "finish_attempt", "release_attempt_files", "insert_log_entry")
