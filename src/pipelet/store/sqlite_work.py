"""Work on requests of the embedded store: claimed, led to its end, or taken back."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from pipelet.domain.job import Job, Lease, NewLease
from pipelet.domain.outcome import Outcome
from pipelet.domain.ports import Running
from pipelet.domain.progress import Progress
from pipelet.store import endings, rows
from pipelet.store.sqlite_base import SqliteBase
from pipelet.store.sqlite_queries import SQL, as_json, fetch, fetch_one, fetch_value, write_log


class SqliteWork(SqliteBase):
    async def claim(self, want: NewLease) -> Lease | None:
        wanted = {"apps": as_json(want.apps), "passed_over": as_json(want.passed_over), "now": want.now}
        if not self._queries.all("any_claimable", **wanted)[0][0]:
            return None  # an idle worker that looks around must not take the write lock

        def operation(db: sqlite3.Connection) -> Job | None:
            lease = {"worker": want.worker, "token": want.token, "now": want.now, "expires_at": want.expires_at}
            row = fetch_one(db, "claim_job", wanted | lease)
            if row is None:
                return None
            job = rows.job_from(row)
            write_log(db, job.id, want.now, "INFO", f"Started, attempt {job.attempt}.")
            return job

        # A power cut may undo it: then the job waits again, as it would after its worker was lost. No fsync for that.
        job = await self._writer.write(operation, durable=False)
        if job is None:
            return None
        return Lease(job=job, token=want.token, worker=want.worker, expires_at=want.expires_at)

    async def extend(self, lease: Lease, expires_at: float) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "expires_at": expires_at}
        return bool(await self._queries.write("extend_lease", values, durable=False, quiet=True))

    async def report_progress(self, lease: Lease, progress: Progress) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "done": progress.done, "total": progress.total}
        return bool(await self._queries.write("report_progress", values, durable=False))

    async def cancels(self, worker: str) -> set[str]:
        return {row["lease_token"] for row in self._queries.all("cancels_of_worker", worker=worker)}

    async def reserve_files(self, lease: Lease, keys: Sequence[str]) -> bool:
        def operation(db: sqlite3.Connection) -> bool:
            if not fetch_value(db, "holds_lease", {"id": lease.job.id, "token": lease.token}):
                return False
            try:
                for key in keys:
                    db.execute(SQL["reserve_file"], {"key": key, "job_id": lease.job.id, "token": lease.token})
            except sqlite3.IntegrityError as error:
                raise KeyError(f"A file name of {list(keys)} is taken.") from error
            return True

        return await self._writer.write(operation, quiet=True)

    async def finish(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        # Where the key was full, others of its requests may begin now.
        makes_room = lease.job.is_limited
        return await self._writer.write(
            lambda db: _end_attempt(db, lease.job, lease.token, outcome, now), announced=makes_room
        )

    async def requeue_expired(self, now: float) -> list[Job]:
        return await self._end_attempts("expired_leases", {"now": now}, endings.EXPIRED, now)

    async def abandon(self, worker: str, now: float) -> list[Job]:
        ended = await self._end_attempts("leases_of_worker", {"worker": worker}, endings.ABANDONED, now)
        await self._queries.write("forget_name", {"name": worker})
        return ended

    async def _end_attempts(self, query: str, values: dict[str, Any], outcome: Outcome, now: float) -> list[Job]:
        if not self._queries.all(query, **values):
            return []

        def operation(db: sqlite3.Connection) -> list[Job]:
            found = fetch(db, query, values)
            for row in found:
                _end_attempt(db, rows.job_from(row), row["lease_token"], outcome, now)
            again = [fetch_one(db, "get_job", {"id": row["id"]}) for row in found]
            return [rows.job_from(row) for row in again if row is not None]

        return await self._writer.write(operation, announced=True)

    async def end_overdue(self, now: float, limit: int) -> int:
        if not self._queries.all("overdue_jobs", now=now, limit=1):
            return 0  # looking around must not take the write lock

        def operation(db: sqlite3.Connection) -> int:
            found = fetch(db, "overdue_jobs", {"now": now, "limit": limit})
            for row in found:
                at = {"id": row["id"], "now": now}
                if row["cancel_asked_at"] is None:
                    db.execute(SQL["expire_job"], at | endings.TIMED_OUT)
                    write_log(db, row["id"], now, "ERROR", endings.TIMED_OUT_LINE)
                else:
                    db.execute(SQL["cancel_job"], at | endings.CANCELLED)
                    write_log(db, row["id"], now, "INFO", endings.CANCELLED_LINE)
            return len(found)

        return await self._writer.write(operation)

    async def running(self, apps: Sequence[str]) -> list[Running]:
        return [rows.running_from(row) for row in self._queries.all("running_jobs", apps=as_json(tuple(apps)))]


def _end_attempt(db: sqlite3.Connection, job: Job, token: str, outcome: Outcome, now: float) -> bool:
    """If the attempt still holds its lease."""
    held, end = {"id": job.id, "token": token}, endings.ending(job, outcome, now)
    ended = bool(fetch_value(db, end.query, held | end.columns))
    if ended:
        files = {"job_id": job.id, "token": token, "kept": json.dumps(end.kept)}
        db.execute(SQL["release_files"], {**files, "delete_after": now + endings.ORPHAN_GRACE})
        write_log(db, job.id, now, end.level, end.message)
    return ended
