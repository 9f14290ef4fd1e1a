"""The shared store: any number of API processes and workers over one PostgreSQL database, 15 or newer.

Every change is one statement, and so one transaction and one trip to the server, wherever that can be.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg

from pipelet.domain.errors import StoreNewer, StoreUnusable
from pipelet.domain.estimate import Ahead, Learned, Work
from pipelet.domain.idempotency import IdempotencyKey
from pipelet.domain.job import CancelAnswer, Job, Lease, LogLine, NewLease, State, Version
from pipelet.domain.keys import ApiKey, queued_limit_reached
from pipelet.domain.outcome import Outcome, Succeeded
from pipelet.domain.ports import Clock, Drawn, QueueCounts, Running
from pipelet.domain.progress import Progress
from pipelet.domain.workers import ReportAnswer, WorkerReport
from pipelet.store import endings, migrations, queries, references, rows
from pipelet.store.database_clock import DatabaseClock
from pipelet.store.notifications import Notifications
from pipelet.store.postgres_connection import Connection, Connections, Result
from pipelet.store.postgres_outbox import PostgresOutbox
from pipelet.store.together import Together
from pipelet.store.wal_flush import WalFlush

SQL = {name: queries.numbered(text) for name, text in queries.load("postgresql").items()}

OLDEST_SERVER = 15
_CLAIM_TRIES = 3
"""Where others were quicker with what a limited key may run: the next look passes its requests over."""
_CHANGES_PAUSE = 0.1
"""Seconds. A quick worker reports progress hundreds of times a second, and nobody reads so quickly."""


class PostgresStore:
    """Implements `domain.ports.JobStore`. Open it with `open_postgres`."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self.clock = clock
        self._connections = connections
        self._flush = WalFlush(connections)
        self._work = Notifications(connections, "pipelet_work")
        self._news = Notifications(connections, "pipelet_changes", pause=_CHANGES_PAUSE)
        self.outbox = PostgresOutbox(connections, _fetch, self._news)
        self._jobs = Together(self.get_many)
        self._places: dict[tuple[str, ...], Together[Job, Ahead]] = {}

    async def close(self) -> None:
        """Nobody may still be waiting for an answer."""
        await asyncio.gather(self._work.close(), self._news.close())

    async def _all(self, query: str, **values: Any) -> list[asyncpg.Record]:
        return await self._connections.run(lambda connection: _fetch(connection, query, values))

    async def _one(self, query: str, **values: Any) -> asyncpg.Record | None:
        return next(iter(await self._all(query, **values)), None)

    async def _durably(self, query: str, **values: Any) -> list[asyncpg.Record]:
        return await self._connections.durably(lambda connection: _fetch(connection, query, values))

    # -- requests ----------------------------------------------------------------------------------------------------

    async def submit(self, job: Job) -> Job:
        return replace(job, seq=await self._durable_at_last(partial(_queue, job)))

    async def _durable_at_last(self, insert: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run `insert`, which may be run again, and answer when what it queued is on disk."""
        inserted = await self._connections.run(insert)
        for _ in range(self._connections.most):  # so many connections may have died with the server
            try:
                await self._flush.wait()
            except StoreUnusable:  # the server died meanwhile, perhaps with the row not yet on disk
                inserted = await self._connections.run(insert)
            else:
                break
        else:
            await self._flush.wait()
        self._work.send()
        self._news.send()
        return inserted

    async def submit_once(self, job: Job, key: IdempotencyKey) -> IdempotencyKey:
        return await self._durable_at_last(partial(_queue_once, job, key))

    async def find_idempotency_key(self, user: str, key: str, now: float) -> IdempotencyKey | None:
        row = await self._one("find_idempotency_key", owner=user, key=key, now=now)
        return None if row is None else rows.idempotency_key_from(row)

    async def note_references(self, job_id: str, keys: Sequence[str], delete_after: float) -> None:
        await self._durably("note_references", job_id=job_id, keys=list(keys), delete_after=delete_after)

    async def release_references(self, job_id: str, now: float) -> None:
        await self._all("release_references", job_id=job_id, now=now)

    async def get(self, job_id: str) -> Job | None:
        return await self._jobs.get(job_id)

    async def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        return {row["id"]: rows.job_from(row) for row in await self._all("get_jobs", ids=ids)}

    async def versions(self, ids: Sequence[str]) -> dict[str, Version]:
        return {row["id"]: rows.version_from(row) for row in await self._all("versions_of_jobs", ids=ids)}

    async def log(self, job: Job) -> list[LogLine]:
        return [rows.submitted_line(job), *map(rows.log_line_from, await self._all("read_log", job_id=job.id))]

    async def ahead(self, job: Job, apps: Sequence[str]) -> Ahead:
        places = self._places.get(tuple(apps))
        if places is None:
            places = self._places[tuple(apps)] = Together(partial(self._ahead, apps=apps))
        return await places.get(job) or Ahead(0, Work())  # it has just begun

    async def _ahead(self, jobs: Sequence[Job], apps: Sequence[str]) -> Mapping[Job, Ahead]:
        if len(jobs) > 1:
            found = await self.ahead_of_many(jobs, apps)
            return {job: found[job.id] for job in jobs if job.id in found}
        [job] = jobs
        row = await self._one("ahead_of_job", apps=list(apps), priority=job.priority, seq=job.seq)
        return {} if row is None else {job: rows.ahead_from(row)}

    async def ahead_of_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, Ahead]:
        ids = {job.seq: job.id for job in jobs}
        levels, places = [job.priority for job in jobs], [job.seq for job in jobs]
        found = await self._all("ahead_of_jobs", apps=list(apps), levels=levels, places=places)
        return {ids[row["seq"]]: rows.ahead_from(row) for row in found}

    async def backlog(self, priority: int, apps: Sequence[str]) -> Ahead:
        row = await self._one("backlog", apps=list(apps), priority=priority)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return rows.ahead_from(row)

    async def is_held_back(self, job: Job) -> bool:
        asked = {"key_id": job.key_id, "image_count": job.spec.batch_size}
        return job.is_limited and await self._one("key_is_full", **asked) is not None

    async def cancel(self, job_id: str, now: float, *, running: bool = False) -> CancelAnswer:
        reason = {**endings.CANCELLED, "message": endings.CANCELLED_LINE}
        while True:
            if await self._durably("cancel_job", id=job_id, now=now, **reason):
                self._news.send()
                return CancelAnswer.CANCELLED
            if running and await self._durably("ask_cancel", id=job_id, now=now):
                self._work.send()
                return CancelAnswer.STOPPING
            row = await self._one("state_of_job", id=job_id)
            if row is None or row["state"] not in (State.QUEUED, State.RUNNING if running else State.QUEUED):
                return endings.CANCEL_ANSWERS[None if row is None else row["state"]]
            # It was running, and its worker was lost between the two looks: now it can be cancelled.

    # -- work --------------------------------------------------------------------------------------------------------

    async def claim(self, want: NewLease) -> Lease | None:
        values = {
            "worker": want.worker,
            "token": want.token,
            "now": want.now,
            "expires_at": want.expires_at,
            "message": "Started, attempt %s.",
            "passed_over": list(want.passed_over),
        }
        for _ in range(_CLAIM_TRIES):
            heads = await self._all(
                "heads_of_queues", apps=list(want.apps), now=want.now, passed_over=list(want.passed_over)
            )
            for head in heads:
                # None: others have just taken all there was, or all that the key of this one may run.
                row = await self._one("claim_job", app=head["app"], **values)
                if row is not None:
                    self._news.send()
                    job = rows.job_from(row)
                    return Lease(job=job, token=want.token, worker=want.worker, expires_at=want.expires_at)
            if not any(head["limited"] for head in heads):
                break
        return None

    async def extend(self, lease: Lease, expires_at: float) -> bool:
        return bool(await self._all("extend_lease", id=lease.job.id, token=lease.token, expires_at=expires_at))

    async def report_progress(self, lease: Lease, progress: Progress) -> bool:
        held = {"id": lease.job.id, "token": lease.token}
        noted = bool(await self._all("report_progress", done=progress.done, total=progress.total, **held))
        if noted:
            self._news.send()
        return noted

    async def cancels(self, worker: str) -> set[str]:
        return {row["lease_token"] for row in await self._all("cancels_of_worker", worker=worker)}

    async def reserve_files(self, lease: Lease, keys: Sequence[str]) -> bool:
        try:
            return bool(await self._durably("reserve_files", id=lease.job.id, token=lease.token, keys=list(keys)))
        except asyncpg.UniqueViolationError as error:
            raise KeyError(f"A file name of {list(keys)} is taken.") from error

    async def finish(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        tries = 0

        async def end(connection: Connection) -> bool:
            nonlocal tries
            tries += 1
            return await _end_attempt(connection, lease.job, lease.token, outcome, now)

        if await self._connections.durably(end):
            if lease.job.is_limited:  # where its key was full, others of its requests may begin now
                self._work.send()
            self._news.send()
            return True
        # A connection can break after the commit and before its answer; then the second try finds the lease gone.
        return tries > 1 and isinstance(outcome, Succeeded) and await self._has_result(lease.job.id, outcome)

    async def _has_result(self, job_id: str, outcome: Succeeded) -> bool:
        job = await self.get(job_id)
        return job is not None and job.images == outcome.images

    async def requeue_expired(self, now: float) -> list[Job]:
        return await self._end_attempts("expired_leases", {"now": now}, endings.EXPIRED, now)

    async def abandon(self, worker: str, now: float) -> list[Job]:
        ended = await self._end_attempts("leases_of_worker", {"worker": worker}, endings.ABANDONED, now)
        await self._all("forget_name", name=worker)
        return ended

    async def _end_attempts(self, query: str, values: dict[str, Any], outcome: Outcome, now: float) -> list[Job]:
        """One transaction each: one for all would hold the counters of several priorities, and could meet another that
        holds them in another order."""

        async def end_one(connection: Connection) -> asyncpg.Record | None:
            async with connection.transaction():
                found = await _fetch(connection, query, values)
                if not found:
                    return None
                await _end_attempt(connection, rows.job_from(found[0]), found[0]["lease_token"], outcome, now)
                return (await _fetch(connection, "get_job", {"id": found[0]["id"]}))[0]

        ended = []
        while (row := await self._connections.run(end_one)) is not None:
            ended.append(rows.job_from(row))
        if ended:
            self._work.send()
            self._news.send()
        return ended

    async def end_overdue(self, now: float, limit: int) -> int:
        """One transaction each, as in `_end_attempts`."""

        async def end_one(connection: Connection) -> bool:
            async with connection.transaction():
                found = await _fetch(connection, "overdue_jobs", {"now": now, "limit": 1})
                for row in found:
                    at = {"id": row["id"], "now": now}
                    if row["cancel_asked_at"] is None:
                        end = endings.TIMED_OUT | {"message": endings.TIMED_OUT_LINE}
                        await _fetch(connection, "expire_job", at | end)
                    else:
                        end = endings.CANCELLED | {"message": endings.CANCELLED_LINE}
                        await _fetch(connection, "cancel_job", at | end)
                return bool(found)

        ended = 0
        while ended < limit and await self._connections.run(end_one):
            ended += 1
        if ended:
            self._news.send()
        return ended

    async def running(self, apps: Sequence[str]) -> list[Running]:
        return [rows.running_from(row) for row in await self._all("running_jobs", apps=list(apps))]

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
        gone = await self._all("delete_finished", before=before, now=now, limit=limit)
        await self._all("forget_dead_workers", before=now - endings.WORKER_MEMORY)
        return len(gone)

    async def delete_idempotency_keys(self, now: float, limit: int) -> int:
        return len(await self._all("delete_idempotency_keys", now=now, limit=limit))

    async def unclaimed_files(self, now: float, limit: int) -> list[str]:
        return [row["key"] for row in await self._all("unclaimed_files", now=now, limit=limit)]

    async def forget_files(self, keys: Sequence[str]) -> None:
        await self._all("forget_files", keys=list(keys))

    async def finished_since(self, since: float, limit: int) -> list[Job]:
        return [rows.job_from(row) for row in await self._all("finished_since", since=since, limit=limit)]

    async def counts(self) -> dict[str, QueueCounts]:
        return rows.counts_from(await self._all("count_running"), await self._all("count_queued"))

    # -- operating ---------------------------------------------------------------------------------------------------

    async def pause(self, app: str, now: float) -> None:
        await self._durably("pause_app", app=app, now=now)
        self._news.send()

    async def resume(self, app: str) -> bool:
        resumed = bool(await self._durably("resume_app", app=app))
        self._work.send()
        self._news.send()
        return resumed

    async def paused(self) -> dict[str, float]:
        return {row["app"]: row["since"] for row in await self._all("paused_apps")}

    async def move_to_front(self, job_id: str, now: float) -> bool:
        moved = bool(await self._durably("move_to_front", id=job_id, now=now, message=endings.MOVED_LINE))
        if moved:
            self._news.send()
        return moved

    async def drawn_since(self, since: float) -> dict[str, Drawn]:
        return rows.drawn_from(await self._all("count_finished", since=since))

    # -- keys --------------------------------------------------------------------------------------------------------

    async def add_key(self, key: ApiKey) -> None:
        await self._durably("add_key", **rows.key_columns(key))

    async def keys(self) -> list[ApiKey]:
        return [rows.key_from(row) for row in await self._all("list_keys")]

    async def find_key(self, key_hash: bytes) -> ApiKey | None:
        row = await self._one("find_key", hash=key_hash)
        return rows.key_from(row) if row else None

    async def revoke_key(self, key_id: str, now: float) -> bool:
        return bool(await self._durably("revoke_key", id=key_id, now=now))

    async def limit_key(self, key_id: str, *, max_queued_images: int | None, max_running_images: int | None) -> bool:
        limits = {"max_queued_images": max_queued_images, "max_running_images": max_running_images}
        limited = bool(await self._durably("limit_key", id=key_id, **limits))
        self._work.send()  # more of its requests may begin
        return limited

    # -- workers and what they taught us -----------------------------------------------------------------------------

    async def report_worker(self, report: WorkerReport) -> ReportAnswer:
        return rows.report_answer_from(await self._one("report_worker", **rows.worker_columns(report)))

    async def drain_worker(self, name: str, now: float) -> bool:
        return bool(await self._durably("drain_worker", name=name, now=now))

    async def forget_worker(self, name: str, incarnation: str) -> None:
        await self._all("forget_worker", name=name, incarnation=incarnation)

    async def live_workers(self, now: float) -> list[WorkerReport]:
        return [rows.worker_from(row) for row in await self._all("live_workers", now=now)]

    async def learn(self, kind: str, phase: str, work: Work, seconds: float) -> None:
        at = {"kind": kind, "phase": phase}

        async def observe(connection: Connection) -> None:
            async with connection.transaction():
                await _fetch(connection, "lock_learned", at)
                found = await _fetch(connection, "get_learned", at)
                known = rows.learned_from(found[0]) if found else Learned()
                await _fetch(connection, "put_learned", at | rows.learned_columns(known.observe(work, seconds)))

        await self._connections.run(observe)

    async def learned(self) -> dict[tuple[str, str], Learned]:
        return {(row["kind"], row["phase"]): rows.learned_from(row) for row in await self._all("list_learned")}


def _seq_of(job: Job, found: list[asyncpg.Record]) -> int:
    """What a submit's statement answers: where `job` stands, or that its key is full."""
    if not found:
        raise StoreUnusable("The database did not say whether it took the request. Submit it again.")
    seq: int | None = found[0]["seq"]
    if seq is None:
        full = found[0]
        raise queued_limit_reached(
            queued=full["queued_images"], allowed=full["max_queued_images"], images=job.spec.batch_size
        )
    return seq


async def _fetch(connection: Connection, query: str, values: dict[str, Any]) -> list[asyncpg.Record]:
    text, names = SQL[query]
    found: list[asyncpg.Record] = await connection.fetch(text, *(values[name] for name in names))
    return found


async def _queue(job: Job, connection: Connection) -> int:
    """Its `seq`. Raises LimitReached or ReferencesGone, and nothing happened."""
    query, taken = "submit_limited_job" if job.is_limited else "submit_job", references.to_take(job)
    if taken is None:
        return _seq_of(job, await _fetch(connection, query, rows.job_columns(job)))
    async with connection.transaction():
        seq = _seq_of(job, await _fetch(connection, query, rows.job_columns(job)))
        if len(await _fetch(connection, "take_references", {**taken})) < len(taken["keys"]):
            raise references.gone()
        return seq


async def _queue_once(job: Job, key: IdempotencyKey, connection: Connection) -> IdempotencyKey:
    wanted = {**rows.idempotency_key_columns(key), "now": job.submitted_at}
    async with connection.transaction():
        # Another who takes the key right now is waited for: the constraint decides, and then its row can be read.
        while not await _fetch(connection, "take_idempotency_key", wanted):
            if known := await _fetch(connection, "find_idempotency_key", wanted):
                return rows.idempotency_key_from(known[0])
            # It has expired for somebody whose clock is ahead, and was deleted between the two looks.
        await _queue(job, connection)
    return key


async def _end_attempt(connection: Connection, job: Job, token: str, outcome: Outcome, now: float) -> bool:
    """If the attempt still holds its lease."""
    end = endings.ending(job, outcome, now)
    values = {
        "id": job.id,
        "token": token,
        "now": now,
        "kept": end.kept,
        "delete_after": now + endings.ORPHAN_GRACE,
        "level": end.level,
        "message": end.message,
    }
    return bool(await _fetch(connection, end.query, end.columns | values))


@contextlib.asynccontextmanager
async def open_postgres(url: str, *, most_connections: int) -> AsyncIterator[PostgresStore]:
    """Open a database that `migrate_postgres` has prepared.

    Raises:
        StoreNewer: a newer version of Pipelet wrote it.
        StoreUnusable: it cannot be reached, refuses, or is older than this version.
    """
    connections = Connections(url, most=most_connections)
    try:
        version = await _schema_version(connections)
        where = url.rpartition("@")[2]
        if version is None or (version in migrations.KNOWN and version != migrations.HEAD):
            raise StoreUnusable(f"The database at {where} has to be brought up to date first: run `pipelet migrate`.")
        if version != migrations.HEAD:
            raise StoreNewer(
                f"The database at {where} was written by a newer version of Pipelet (schema {version}; this version "
                f"knows up to {migrations.HEAD}). Install that version, or point PIPELET_DATABASE_URL at another "
                "database."
            )
        await connections.refuse_pooling_by_transaction()
        clock = DatabaseClock(connections)
        await clock.sync()
        syncing = asyncio.create_task(clock.keep_in_time())
        store = PostgresStore(connections, clock)
        try:
            yield store
        finally:
            syncing.cancel()
            await store.close()
    finally:
        await connections.close()


async def schema_version(url: str) -> str | None:
    """The revision a database is at; None for one without tables.

    Raises:
        StoreUnusable: it cannot be read.
    """
    connections = Connections(url, most=1)
    try:
        return await _schema_version(connections)
    finally:
        await connections.close()


async def _schema_version(connections: Connections) -> str | None:
    async def look(connection: Connection) -> str | None:
        major = connection.get_server_version().major
        if major < OLDEST_SERVER:
            raise StoreUnusable(
                f"The database runs PostgreSQL {major}; Pipelet needs {OLDEST_SERVER} or newer. Upgrade the server."
            )
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        version: str | None = await connection.fetchval(SQL["schema_version"].text)
        return version

    return await connections.run(look)
