"""The embedded store: one SQLite file, written by group commit, read in place.

Reads run on the caller's thread and take microseconds: every query walks an index to a bounded number of rows.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelet.domain.clock import SystemClock
from pipelet.domain.errors import LimitReached, PipeletError, ReferencesGone, StoreNewer, StoreUnusable
from pipelet.domain.estimate import Ahead, Learned, Work
from pipelet.domain.idempotency import IdempotencyKey
from pipelet.domain.job import CancelAnswer, Job, Lease, LogLine, NewLease, Version
from pipelet.domain.keys import ApiKey, queued_limit_reached
from pipelet.domain.outcome import Outcome
from pipelet.domain.ports import Clock, Drawn, QueueCounts, Running
from pipelet.domain.progress import Progress
from pipelet.domain.workers import ReportAnswer, WorkerReport
from pipelet.store import endings, migrations, queries, references, rows
from pipelet.store.bell import Bell
from pipelet.store.group_commit import LOCK_SECONDS, GroupCommit, explain
from pipelet.store.sqlite_outbox import SqliteOutbox

SQL = queries.load("sqlite")

_MAX_SNAPSHOTS = 4096
_VERSION = ("state", "attempt", "started_at", "tasks_done", "tasks_total", "priority", "seq")
"""The columns of `version_of_job.sql`."""


class SqliteStore:
    """Implements `domain.ports.JobStore`. Open it with `open_sqlite`."""

    def __init__(self, path: Path) -> None:
        self.clock: Clock = SystemClock()
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._snapshots: dict[str, tuple[tuple[Any, ...], Job]] = {}
        self._work, self._news = Bell(path), Bell(path, about="-changes")
        self._writer = GroupCommit(_connect(path), announce=self._work.ring, tell=self._news.ring)
        self.outbox = SqliteOutbox(self._all, self._writer)

    def close(self) -> None:
        """What was asked for is committed first."""
        self._writer.close()
        self._reader.close()
        self._work.close()
        self._news.close()

    def _one(self, query: str, **values: Any) -> sqlite3.Row | None:
        return next(iter(self._all(query, **values)), None)

    def _all(self, query: str, **values: Any) -> list[sqlite3.Row]:
        try:
            return self._reader.execute(SQL[query], values).fetchall()
        except sqlite3.Error as error:
            raise StoreUnusable(explain(error)) from error

    # -- requests ----------------------------------------------------------------------------------------------------

    async def submit(self, job: Job) -> Job:
        columns, taken = rows.job_columns(job), references.to_take(job)

        answer = await self._writer.write(lambda db: _queue(db, job, columns, taken), announced=True)
        if isinstance(answer, PipeletError):
            raise answer
        return replace(job, seq=answer)

    async def submit_once(self, job: Job, key: IdempotencyKey) -> IdempotencyKey:
        columns, taken = rows.job_columns(job), references.to_take(job)
        wanted = {**rows.idempotency_key_columns(key), "now": job.submitted_at}

        def operation(db: sqlite3.Connection) -> IdempotencyKey | PipeletError:
            if _row(db, "take_idempotency_key", wanted) is None:
                known = _row(db, "find_idempotency_key", wanted)
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
        row = self._one("find_idempotency_key", owner=user, key=key, now=now)
        return None if row is None else rows.idempotency_key_from(row)

    async def note_references(self, job_id: str, keys: Sequence[str], delete_after: float) -> None:
        values = [{"key": key, "job_id": job_id, "delete_after": delete_after} for key in keys]
        await self._writer.write(lambda db: db.executemany(SQL["note_reference"], values) and None)

    async def release_references(self, job_id: str, now: float) -> None:
        values = {"job_id": job_id, "now": now}
        await self._writer.write(lambda db: db.execute(SQL["release_references"], values) and None)

    async def get(self, job_id: str) -> Job | None:
        # A request is polled ten times a second and rarely changes in between: then its last snapshot is still true.
        version, known = self._one("version_of_job", id=job_id), self._snapshots.get(job_id)
        if version is not None and known is not None and tuple(version) == known[0]:
            return known[1]
        row = self._one("get_job", id=job_id)
        return None if row is None else self._remember(row)

    async def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        return {row["id"]: rows.job_from(row) for row in self._all("get_jobs", ids=json.dumps(ids))}

    async def versions(self, ids: Sequence[str]) -> dict[str, Version]:
        return {row["id"]: rows.version_from(row) for row in self._all("versions_of_jobs", ids=json.dumps(ids))}

    def _remember(self, row: sqlite3.Row) -> Job:
        job = rows.job_from(row)
        if len(self._snapshots) >= _MAX_SNAPSHOTS:
            self._snapshots.clear()
        self._snapshots[job.id] = (tuple(row[column] for column in _VERSION), job)
        return job

    async def log(self, job: Job) -> list[LogLine]:
        return [rows.submitted_line(job), *map(rows.log_line_from, self._all("read_log", job_id=job.id))]

    async def ahead(self, job: Job, apps: Sequence[str]) -> Ahead:
        row = self._one("ahead_of_job", apps=_as_json(tuple(apps)), priority=job.priority, seq=job.seq)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return rows.ahead_from(row)

    async def ahead_of_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, Ahead]:
        ids = {job.seq: job.id for job in jobs}
        places = json.dumps([(job.priority, job.seq) for job in jobs])
        found = self._all("ahead_of_jobs", apps=_as_json(tuple(apps)), places=places)
        return {ids[row["seq"]]: rows.ahead_from(row) for row in found}

    async def backlog(self, priority: int, apps: Sequence[str]) -> Ahead:
        row = self._one("backlog", apps=_as_json(tuple(apps)), priority=priority)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return rows.ahead_from(row)

    async def is_held_back(self, job: Job) -> bool:
        asked = {"key_id": job.key_id, "image_count": job.spec.batch_size}
        return job.is_limited and self._one("key_is_full", **asked) is not None

    async def cancel(self, job_id: str, now: float, *, running: bool = False) -> CancelAnswer:
        def operation(db: sqlite3.Connection) -> CancelAnswer:
            if _scalar(db, "cancel_job", {"id": job_id, "now": now, **endings.CANCELLED}):
                _log(db, job_id, now, "INFO", endings.CANCELLED_LINE)
                return CancelAnswer.CANCELLED
            if running and _scalar(db, "ask_cancel", {"id": job_id, "now": now}):
                return CancelAnswer.STOPPING
            return endings.CANCEL_ANSWERS[_scalar(db, "state_of_job", {"id": job_id})]

        return await self._writer.write(operation, announced=running)

    # -- work --------------------------------------------------------------------------------------------------------

    async def claim(self, want: NewLease) -> Lease | None:
        wanted = {"apps": _as_json(want.apps), "passed_over": _as_json(want.passed_over), "now": want.now}
        if not self._all("any_claimable", **wanted)[0][0]:
            return None  # an idle worker that looks around must not take the write lock

        def operation(db: sqlite3.Connection) -> Job | None:
            lease = {"worker": want.worker, "token": want.token, "now": want.now, "expires_at": want.expires_at}
            row = _row(db, "claim_job", wanted | lease)
            if row is None:
                return None
            job = rows.job_from(row)
            _log(db, job.id, want.now, "INFO", f"Started, attempt {job.attempt}.")
            return job

        # A power cut may undo it: then the job waits again, as it would after its worker was lost. No fsync for that.
        job = await self._writer.write(operation, durable=False)
        if job is None:
            return None
        return Lease(job=job, token=want.token, worker=want.worker, expires_at=want.expires_at)

    async def extend(self, lease: Lease, expires_at: float) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "expires_at": expires_at}
        return bool(await self._writer.write(lambda db: _scalar(db, "extend_lease", values), durable=False, quiet=True))

    async def report_progress(self, lease: Lease, progress: Progress) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "done": progress.done, "total": progress.total}
        return bool(await self._writer.write(lambda db: _scalar(db, "report_progress", values), durable=False))

    async def cancels(self, worker: str) -> set[str]:
        return {row["lease_token"] for row in self._all("cancels_of_worker", worker=worker)}

    async def reserve_files(self, lease: Lease, keys: Sequence[str]) -> bool:
        def operation(db: sqlite3.Connection) -> bool:
            if not _scalar(db, "holds_lease", {"id": lease.job.id, "token": lease.token}):
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
        await self._writer.write(lambda db: db.execute(SQL["forget_name"], {"name": worker}) and None)
        return ended

    async def _end_attempts(self, query: str, values: dict[str, Any], outcome: Outcome, now: float) -> list[Job]:
        if not self._all(query, **values):
            return []

        def operation(db: sqlite3.Connection) -> list[Job]:
            found = db.execute(SQL[query], values).fetchall()
            for row in found:
                _end_attempt(db, rows.job_from(row), row["lease_token"], outcome, now)
            again = [_row(db, "get_job", {"id": row["id"]}) for row in found]
            return [rows.job_from(row) for row in again if row is not None]

        return await self._writer.write(operation, announced=True)

    async def end_overdue(self, now: float, limit: int) -> int:
        if not self._all("overdue_jobs", now=now, limit=1):
            return 0  # looking around must not take the write lock

        def operation(db: sqlite3.Connection) -> int:
            found = db.execute(SQL["overdue_jobs"], {"now": now, "limit": limit}).fetchall()
            for row in found:
                at = {"id": row["id"], "now": now}
                if row["cancel_asked_at"] is None:
                    db.execute(SQL["expire_job"], at | endings.TIMED_OUT)
                    _log(db, row["id"], now, "ERROR", endings.TIMED_OUT_LINE)
                else:
                    db.execute(SQL["cancel_job"], at | endings.CANCELLED)
                    _log(db, row["id"], now, "INFO", endings.CANCELLED_LINE)
            return len(found)

        return await self._writer.write(operation)

    async def running(self, apps: Sequence[str]) -> list[Running]:
        return [rows.running_from(row) for row in self._all("running_jobs", apps=_as_json(tuple(apps)))]

    @contextlib.asynccontextmanager
    async def work_arrived(self) -> AsyncIterator[asyncio.Event]:
        async with self._work.listen() as event:
            yield event

    @contextlib.asynccontextmanager
    async def changes(self) -> AsyncIterator[asyncio.Event]:
        async with self._news.listen() as event:
            yield event

    # -- housekeeping ------------------------------------------------------------------------------------------------

    async def delete_finished(self, before: float, now: float, limit: int) -> int:
        def operation(db: sqlite3.Connection) -> int:
            gone = db.execute(SQL["delete_finished"], {"before": before, "now": now, "limit": limit}).fetchall()
            for row in gone:
                db.execute(SQL["release_files_of_job"], {"job_id": row["id"], "now": now})
            db.execute(SQL["forget_dead_workers"], {"before": now - endings.WORKER_MEMORY})
            return len(gone)

        return await self._writer.write(operation)

    async def delete_idempotency_keys(self, now: float, limit: int) -> int:
        values = {"now": now, "limit": limit}
        return await self._writer.write(lambda db: len(db.execute(SQL["delete_idempotency_keys"], values).fetchall()))

    async def unclaimed_files(self, now: float, limit: int) -> list[str]:
        return [row["key"] for row in self._all("unclaimed_files", now=now, limit=limit)]

    async def forget_files(self, keys: Sequence[str]) -> None:
        values = [{"key": key} for key in keys]
        await self._writer.write(lambda db: db.executemany(SQL["forget_file"], values) and None, quiet=True)

    async def finished_since(self, since: float, limit: int) -> list[Job]:
        return [rows.job_from(row) for row in self._all("finished_since", since=since, limit=limit)]

    async def counts(self) -> dict[str, QueueCounts]:
        return rows.counts_from(self._all("count_running"), self._all("count_queued"))

    # -- operating ---------------------------------------------------------------------------------------------------

    async def pause(self, app: str, now: float) -> None:
        values = {"app": app, "now": now}
        await self._writer.write(lambda db: db.execute(SQL["pause_app"], values) and None)

    async def resume(self, app: str) -> bool:
        values = {"app": app}
        return bool(await self._writer.write(lambda db: _scalar(db, "resume_app", values), announced=True))

    async def paused(self) -> dict[str, float]:
        return {row["app"]: row["since"] for row in self._all("paused_apps")}

    async def move_to_front(self, job_id: str, now: float) -> bool:
        def operation(db: sqlite3.Connection) -> bool:
            moved = bool(_scalar(db, "move_to_front", {"id": job_id}))
            if moved:
                _log(db, job_id, now, "INFO", endings.MOVED_LINE)
            return moved

        return await self._writer.write(operation)

    async def drawn_since(self, since: float) -> dict[str, Drawn]:
        return rows.drawn_from(self._all("count_finished", since=since))

    # -- keys --------------------------------------------------------------------------------------------------------

    async def add_key(self, key: ApiKey) -> None:
        columns = rows.key_columns(key)
        await self._writer.write(lambda db: db.execute(SQL["add_key"], columns) and None)

    async def keys(self) -> list[ApiKey]:
        return [rows.key_from(row) for row in self._all("list_keys")]

    async def find_key(self, key_hash: bytes) -> ApiKey | None:
        row = self._one("find_key", hash=key_hash)
        return rows.key_from(row) if row else None

    async def revoke_key(self, key_id: str, now: float) -> bool:
        values = {"id": key_id, "now": now}
        return bool(await self._writer.write(lambda db: _scalar(db, "revoke_key", values)))

    async def limit_key(self, key_id: str, *, max_queued_images: int | None, max_running_images: int | None) -> bool:
        values = {"id": key_id, "max_queued_images": max_queued_images, "max_running_images": max_running_images}
        return bool(await self._writer.write(lambda db: _scalar(db, "limit_key", values), announced=True))

    # -- workers and what they taught us -----------------------------------------------------------------------------

    async def report_worker(self, report: WorkerReport) -> ReportAnswer:
        columns = rows.worker_columns(report)
        row = await self._writer.write(lambda db: _row(db, "report_worker", columns), durable=False, quiet=True)
        return rows.report_answer_from(row)

    async def drain_worker(self, name: str, now: float) -> bool:
        values = {"name": name, "now": now}
        return bool(await self._writer.write(lambda db: _scalar(db, "drain_worker", values)))

    async def forget_worker(self, name: str, incarnation: str) -> None:
        values = {"name": name, "incarnation": incarnation}
        await self._writer.write(lambda db: db.execute(SQL["forget_worker"], values) and None)

    async def live_workers(self, now: float) -> list[WorkerReport]:
        return [rows.worker_from(row) for row in self._all("live_workers", now=now)]

    async def learn(self, kind: str, phase: str, work: Work, seconds: float) -> None:
        def operation(db: sqlite3.Connection) -> None:
            at = {"kind": kind, "phase": phase}
            row = _row(db, "get_learned", at)
            known = rows.learned_from(row) if row else Learned()
            db.execute(SQL["put_learned"], at | rows.learned_columns(known.observe(work, seconds)))

        await self._writer.write(operation, durable=False, quiet=True)

    async def learned(self) -> dict[tuple[str, str], Learned]:
        return {(row["kind"], row["phase"]): rows.learned_from(row) for row in self._all("list_learned")}


def open_sqlite(path: Path) -> SqliteStore:
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
    return SqliteStore(path)


def schema_version(path: Path) -> str | None:
    """The revision a database is at; None for one without tables.

    Raises:
        StoreUnusable: it cannot be read.
    """
    try:
        with contextlib.closing(_connect(path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                return None
            row = connection.execute(SQL["schema_version"]).fetchone()
            return row[0] if row else None
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path}: {explain(error)}") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@lru_cache(64)  # the same few tuples of apps, with every poll
def _as_json(apps: tuple[str, ...]) -> str:
    return json.dumps(apps)


def _row(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> sqlite3.Row | None:
    # All rows are fetched, so that no statement stays open and holds the commit back.
    return next(iter(db.execute(SQL[query], values).fetchall()), None)


def _scalar(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> Any:
    row = _row(db, query, values)
    return row[0] if row else None


def _queue(
    db: sqlite3.Connection, job: Job, columns: dict[str, Any], taken: references.Taken | None
) -> int | LimitReached | ReferencesGone:
    """Answers the errors, and raises none: for one that is raised the whole batch would run once more."""
    if job.is_limited and (full := _row(db, "over_limit", columns)):
        return queued_limit_reached(queued=full[0], allowed=full[1], images=job.spec.batch_size)
    if taken and not _take_references(db, taken):
        return references.gone()
    return db.execute(SQL["submit_job"], columns).lastrowid or 0


def _take_references(db: sqlite3.Connection, taken: references.Taken) -> bool:
    """All of them, or none."""
    values = {**taken, "keys": json.dumps(taken["keys"])}
    if _scalar(db, "count_references", values) < len(taken["keys"]):
        return False
    db.execute(SQL["take_references"], values)
    return True


def _log(db: sqlite3.Connection, job_id: str, at: float, level: str, message: str) -> None:
    db.execute(SQL["write_log"], {"job_id": job_id, "at": at, "level": level, "message": message})


def _end_attempt(db: sqlite3.Connection, job: Job, token: str, outcome: Outcome, now: float) -> bool:
    """If the attempt still holds its lease."""
    held, end = {"id": job.id, "token": token}, endings.ending(job, outcome, now)
    ended = bool(_scalar(db, end.query, held | end.columns))
    if ended:
        files = {"job_id": job.id, "token": token, "kept": json.dumps(end.kept)}
        db.execute(SQL["release_files"], {**files, "delete_after": now + endings.ORPHAN_GRACE})
        _log(db, job.id, now, end.level, end.message)
    return ended
