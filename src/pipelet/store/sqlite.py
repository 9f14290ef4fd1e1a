"""The embedded store: one SQLite file, written by group commit, read in place.

Reads run on the caller's thread and take microseconds: every query walks an index to a bounded number of rows.
"""

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelet.domain.errors import LimitReached, PipeletError, ReferencesGone, StoreNewer, StoreUnusable
from pipelet.domain.estimate import Ahead
from pipelet.domain.idempotency import IdempotencyKey
from pipelet.domain.job import CancelAnswer, Job, LogLine, Version
from pipelet.domain.keys import queued_limit_reached
from pipelet.domain.ports import QueueCounts
from pipelet.store import endings, migrations, queries, references, rows
from pipelet.store.group_commit import explain
from pipelet.store.sqlite_base import connect, require_space
from pipelet.store.sqlite_keys import SqliteKeys
from pipelet.store.sqlite_operating import SqliteOperating
from pipelet.store.sqlite_outbox import SqliteOutbox
from pipelet.store.sqlite_queries import SQL, as_json, fetch, fetch_one, fetch_value, write_log
from pipelet.store.sqlite_work import SqliteWork
from pipelet.store.sqlite_workers import SqliteWorkers
from pipelet.system.permissions import PRIVATE, Permissions

_MAX_SNAPSHOTS = 4096
_VERSION = ("state", "attempt", "started_at", "tasks_done", "tasks_total", "priority", "seq")
"""The columns of `version_of_job.sql`."""


class SqliteStore(SqliteWork, SqliteOperating, SqliteKeys, SqliteWorkers):
    """Implements `domain.ports.JobStore`. Open it with `open_sqlite`."""

    def __init__(self, path: Path, permissions: Permissions = PRIVATE) -> None:
        super().__init__(path, permissions)
        self.outbox = SqliteOutbox(self._queries, self._writer)
        self._snapshots: dict[str, tuple[tuple[Any, ...], Job]] = {}

    async def check(self) -> None:
        require_space(self._path)
        # Quiet, and not durable: nothing changes, and nothing has to reach the disk.
        await self._queries.write("check_writable", {}, durable=False, quiet=True)

    # -- requests ----------------------------------------------------------------------------------------------------

    async def submit(self, job: Job) -> Job:
        columns, taken = rows.job_columns(job), references.to_take(job)
        answer = await self._writer.write(lambda db: _queue(db, job, columns, taken), announced=True)
        if isinstance(answer, PipeletError):
            raise answer
        return replace(job, seq=answer)

    async def submit_once(self, job: Job, key: IdempotencyKey) -> IdempotencyKey:
        columns, taken = rows.job_columns(job), references.to_take(job)
        wanted = {**rows.key_columns(key), "now": job.submitted_at}

        def operation(db: sqlite3.Connection) -> IdempotencyKey | PipeletError:
            if fetch_one(db, "take_idempotency_key", wanted) is None:
                known = fetch_one(db, "find_idempotency_key", wanted)
                assert known is not None  # noqa: S101 - it was just in the way
                return rows.idempotency_key_from(known)
            queued = _queue(db, job, columns, taken)
            if isinstance(queued, PipeletError):
                db.execute(SQL["release_idempotency_key"], wanted)
                return queued
            return key

        answer = await self._writer.write(operation, announced=True)
        if isinstance(answer, PipeletError):
            raise answer
        return answer

    async def find_idempotency_key(self, user: str, key: str, now: float) -> IdempotencyKey | None:
        row = self._queries.one("find_idempotency_key", owner=user, key=key, now=now)
        return None if row is None else rows.idempotency_key_from(row)

    async def note_references(self, job_id: str, keys: Sequence[str], delete_after: float) -> None:
        values = [{"key": key, "job_id": job_id, "delete_after": delete_after} for key in keys]
        await self._writer.write(lambda db: db.executemany(SQL["note_reference"], values) and None)

    async def release_references(self, job_id: str, now: float) -> list[str]:
        return [row["key"] for row in await self._queries.write("release_references", {"job_id": job_id, "now": now})]

    async def over_limit(self, key_id: str, images: int) -> LimitReached | None:
        full = self._queries.one("over_limit", key_id=key_id, image_count=images)
        return None if full is None else queued_limit_reached(queued=full[0], allowed=full[1], images=images)

    async def get(self, job_id: str) -> Job | None:
        # A request is polled ten times a second and rarely changes in between: then its last snapshot is still true.
        version, known = self._queries.one("version_of_job", id=job_id), self._snapshots.get(job_id)
        if version is not None and known is not None and tuple(version) == known[0]:
            return known[1]
        row = self._queries.one("get_job", id=job_id)
        return None if row is None else self._remember(row)

    async def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        return {row["id"]: rows.job_from(row) for row in self._queries.all("get_jobs", ids=json.dumps(ids))}

    async def versions(self, ids: Sequence[str]) -> dict[str, Version]:
        return {row["id"]: rows.version_from(row) for row in self._queries.all("versions_of_jobs", ids=json.dumps(ids))}

    def _remember(self, row: sqlite3.Row) -> Job:
        job = rows.job_from(row)
        if len(self._snapshots) >= _MAX_SNAPSHOTS:
            self._snapshots.clear()
        self._snapshots[job.id] = (tuple(row[column] for column in _VERSION), job)
        return job

    async def log(self, job: Job) -> list[LogLine]:
        return [rows.submitted_line(job), *map(rows.log_line_from, self._queries.all("read_log", job_id=job.id))]

    async def ahead(self, job: Job, apps: Sequence[str]) -> Ahead:
        row = self._queries.one("ahead_of_job", apps=as_json(tuple(apps)), priority=job.priority, seq=job.seq)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return rows.ahead_from(row)

    async def ahead_of_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, Ahead]:
        ids = {job.seq: job.id for job in jobs}
        places = json.dumps([(job.priority, job.seq) for job in jobs])
        found = self._queries.all("ahead_of_jobs", apps=as_json(tuple(apps)), places=places)
        return {ids[row["seq"]]: rows.ahead_from(row) for row in found}

    async def backlog(self, priority: int, apps: Sequence[str]) -> Ahead:
        row = self._queries.one("backlog", apps=as_json(tuple(apps)), priority=priority)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return rows.ahead_from(row)

    async def ahead_of_room(self, key_id: str, images: int, apps: Sequence[str]) -> Ahead | None:
        row = self._queries.one(
            "ahead_of_room", key_id=key_id, images=images, apps=as_json(tuple(apps)), most=queries.ROOM_WITHIN
        )
        return rows.ahead_from(row) if row is not None and row["known"] else None

    async def is_held_back(self, job: Job) -> bool:
        asked = {"key_id": job.key_id, "image_count": job.spec.batch_size}
        return job.is_limited and self._queries.one("key_is_full", **asked) is not None

    async def cancel(self, job_id: str, now: float, *, running: bool = False) -> CancelAnswer:
        def operation(db: sqlite3.Connection) -> CancelAnswer:
            if fetch_value(db, "cancel_job", {"id": job_id, "now": now, **endings.CANCELLED}):
                write_log(db, job_id, now, "INFO", endings.CANCELLED_LINE)
                return CancelAnswer.CANCELLED
            if running and fetch_value(db, "ask_cancel", {"id": job_id, "now": now}):
                return CancelAnswer.STOPPING
            return endings.CANCEL_ANSWERS[fetch_value(db, "state_of_job", {"id": job_id})]

        return await self._writer.write(operation, announced=running)

    # -- housekeeping ------------------------------------------------------------------------------------------------

    async def delete_finished(self, before: float, now: float, limit: int) -> int:
        def operation(db: sqlite3.Connection) -> int:
            gone = fetch(db, "delete_finished", {"before": before, "now": now, "limit": limit})
            for row in gone:
                db.execute(SQL["release_files_of_job"], {"job_id": row["id"], "now": now})
            db.execute(SQL["forget_dead_workers"], {"before": now - endings.WORKER_MEMORY})
            return len(gone)

        return await self._writer.write(operation)

    async def delete_idempotency_keys(self, now: float, limit: int) -> int:
        return len(await self._queries.write("delete_idempotency_keys", {"now": now, "limit": limit}))

    async def unclaimed_files(self, now: float, limit: int) -> list[str]:
        return [row["key"] for row in self._queries.all("unclaimed_files", now=now, limit=limit)]

    async def forget_files(self, keys: Sequence[str]) -> None:
        values = [{"key": key} for key in keys]
        await self._writer.write(lambda db: db.executemany(SQL["forget_file"], values) and None, quiet=True)

    async def finished_since(self, since: float, limit: int) -> list[Job]:
        return [rows.job_from(row) for row in self._queries.all("finished_since", since=since, limit=limit)]

    async def counts(self) -> dict[str, QueueCounts]:
        return rows.counts_from(self._queries.all("count_running"), self._queries.all("count_queued"))


def open_sqlite(path: Path, permissions: Permissions = PRIVATE) -> SqliteStore:
    """Open a database that `migrate_sqlite` has prepared.

    Raises:
        StoreNewer: a newer version of Pipelet wrote it.
        StoreUnusable: it is missing, older than this version, not a database, or cannot be opened.
    """
    if not path.exists():
        raise StoreUnusable(f"There is no database at {path}. Create it with `pipelet migrate`.")
    version = schema_version(path)
    if version is not None and version not in migrations.KNOWN:
        raise StoreNewer(
            f"The database {path} was written by a newer version of Pipelet (schema {version}; this version knows up "
            f"to {migrations.HEAD}). Install that version, or point PIPELET_DATABASE_URL at another database."
        )
    if version != migrations.HEAD:
        raise StoreUnusable(f"The database {path} has to be brought up to date first: run `pipelet migrate`.")
    return SqliteStore(path, permissions)


def schema_version(path: Path) -> str | None:
    """The revision a database is at; None for one without tables.

    Raises:
        StoreUnusable: it cannot be read.
    """
    try:
        with contextlib.closing(connect(path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                return None
            row = connection.execute(SQL["schema_version"]).fetchone()
            return row[0] if row else None
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path}: {explain(error)}") from error


def _queue(
    db: sqlite3.Connection, job: Job, columns: dict[str, Any], taken: references.Taken | None
) -> int | LimitReached | ReferencesGone:
    """Answers the errors, and raises none: for one that is raised the whole batch would run once more."""
    if job.is_limited and (full := fetch_one(db, "over_limit", columns)):
        return queued_limit_reached(queued=full[0], allowed=full[1], images=job.spec.batch_size)
    if taken and not _take_references(db, taken):
        return references.gone()
    return db.execute(SQL["submit_job"], columns).lastrowid or 0


def _take_references(db: sqlite3.Connection, taken: references.Taken) -> bool:
    """All of them, or none."""
    values = {**taken, "keys": json.dumps(taken["keys"])}
    if fetch_value(db, "count_references", values) < len(taken["keys"]):
        return False
    db.execute(SQL["take_references"], values)
    return True
