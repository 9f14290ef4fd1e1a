"""The shared store: any number of API processes and workers over one PostgreSQL database, 15 or newer.

Every change is one statement, and so one transaction and one trip to the server, wherever that can be.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import asyncpg

from pipelet.domain.database_url import name_of
from pipelet.domain.errors import LimitReached, StoreNewer, StoreUnusable
from pipelet.domain.estimate import Ahead, Work
from pipelet.domain.idempotency import IdempotencyKey
from pipelet.domain.job import CancelAnswer, Job, LogLine, State, Version
from pipelet.domain.keys import queued_limit_reached
from pipelet.domain.ports import Clock, QueueCounts
from pipelet.store import endings, migrations, postgres_checks, queries, references, rows
from pipelet.store.database_clock import DatabaseClock
from pipelet.store.postgres_connection import Connection, Connections, Result
from pipelet.store.postgres_keys import PostgresKeys
from pipelet.store.postgres_operating import PostgresOperating
from pipelet.store.postgres_outbox import PostgresOutbox
from pipelet.store.postgres_queries import SQL, fetch
from pipelet.store.postgres_work import PostgresWork
from pipelet.store.postgres_workers import PostgresWorkers
from pipelet.store.together import Together
from pipelet.store.wal_flush import WalFlush

OLDEST_SERVER = 15


class PostgresStore(PostgresWork, PostgresOperating, PostgresKeys, PostgresWorkers):
    """Implements `domain.ports.JobStore`. Open it with `open_postgres`."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        super().__init__(connections, clock)
        self.outbox = PostgresOutbox(connections, self._queries, self._news)
        self._flush = WalFlush(connections)
        self._jobs = Together(self.get_many)
        self._places: dict[tuple[str, ...], Together[Job, Ahead]] = {}

    async def check(self) -> None:
        await postgres_checks.require_setup(self._connections)
        await postgres_checks.require_space(self._connections)

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
        row = await self._queries.one("find_idempotency_key", owner=user, key=key, now=now)
        return None if row is None else rows.idempotency_key_from(row)

    async def note_references(self, job_id: str, keys: Sequence[str], delete_after: float) -> None:
        await self._queries.durably("note_references", job_id=job_id, keys=list(keys), delete_after=delete_after)

    async def release_references(self, job_id: str, now: float) -> list[str]:
        return [row["key"] for row in await self._queries.all("release_references", job_id=job_id, now=now)]

    async def over_limit(self, key_id: str, images: int) -> LimitReached | None:
        full = await self._queries.one("over_limit", key_id=key_id, image_count=images)
        return None if full is None else queued_limit_reached(queued=full[0], allowed=full[1], images=images)

    async def get(self, job_id: str) -> Job | None:
        return await self._jobs.get(job_id)

    async def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        return {row["id"]: rows.job_from(row) for row in await self._queries.all("get_jobs", ids=ids)}

    async def versions(self, ids: Sequence[str]) -> dict[str, Version]:
        return {row["id"]: rows.version_from(row) for row in await self._queries.all("versions_of_jobs", ids=ids)}

    async def log(self, job: Job) -> list[LogLine]:
        return [rows.submitted_line(job), *map(rows.log_line_from, await self._queries.all("read_log", job_id=job.id))]

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
        row = await self._queries.one("ahead_of_job", apps=list(apps), priority=job.priority, seq=job.seq)
        return {} if row is None else {job: rows.ahead_from(row)}

    async def ahead_of_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, Ahead]:
        ids = {job.seq: job.id for job in jobs}
        levels, places = [job.priority for job in jobs], [job.seq for job in jobs]
        found = await self._queries.all("ahead_of_jobs", apps=list(apps), levels=levels, places=places)
        return {ids[row["seq"]]: rows.ahead_from(row) for row in found}

    async def backlog(self, priority: int, apps: Sequence[str]) -> Ahead:
        row = await self._queries.one("backlog", apps=list(apps), priority=priority)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return rows.ahead_from(row)

    async def ahead_of_room(self, key_id: str, images: int, apps: Sequence[str]) -> Ahead | None:
        row = await self._queries.one(
            "ahead_of_room", key_id=key_id, images=images, apps=list(apps), most=queries.ROOM_WITHIN
        )
        return rows.ahead_from(row) if row is not None and row["known"] else None

    async def is_held_back(self, job: Job) -> bool:
        asked = {"key_id": job.key_id, "image_count": job.spec.batch_size}
        return job.is_limited and await self._queries.one("key_is_full", **asked) is not None

    async def cancel(self, job_id: str, now: float, *, running: bool = False) -> CancelAnswer:
        reason = {**endings.CANCELLED, "message": endings.CANCELLED_LINE}
        while True:
            if await self._queries.durably("cancel_job", id=job_id, now=now, **reason):
                self._news.send()
                return CancelAnswer.CANCELLED
            if running and await self._queries.durably("ask_cancel", id=job_id, now=now):
                self._work.send()
                return CancelAnswer.STOPPING
            row = await self._queries.one("state_of_job", id=job_id)
            if row is None or row["state"] not in (State.QUEUED, State.RUNNING if running else State.QUEUED):
                return endings.CANCEL_ANSWERS[None if row is None else row["state"]]
            # It was running, and its worker was lost between the two looks: now it can be cancelled.

    # -- housekeeping ------------------------------------------------------------------------------------------------

    async def delete_finished(self, before: float, now: float, limit: int) -> int:
        gone = await self._queries.all("delete_finished", before=before, now=now, limit=limit)
        await self._queries.all("forget_dead_workers", before=now - endings.WORKER_MEMORY)
        return len(gone)

    async def truncate_log(self) -> None:
        """The server's own business."""

    async def delete_idempotency_keys(self, now: float, limit: int) -> int:
        return len(await self._queries.all("delete_idempotency_keys", now=now, limit=limit))

    async def unclaimed_files(self, now: float, limit: int) -> list[str]:
        return [row["key"] for row in await self._queries.all("unclaimed_files", now=now, limit=limit)]

    async def forget_files(self, keys: Sequence[str]) -> None:
        await self._queries.all("forget_files", keys=list(keys))

    async def finished_since(self, since: float, limit: int) -> list[Job]:
        return [rows.job_from(row) for row in await self._queries.all("finished_since", since=since, limit=limit)]

    async def counts(self) -> dict[str, QueueCounts]:
        return rows.counts_from(await self._queries.all("count_running"), await self._queries.all("count_queued"))


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


async def _queue(job: Job, connection: Connection) -> int:
    """Its `seq`. Raises LimitReached or ReferencesGone, and nothing happened."""
    query, taken = "submit_limited_job" if job.is_limited else "submit_job", references.to_take(job)
    if taken is None:
        return _seq_of(job, await fetch(connection, query, rows.job_columns(job)))
    async with connection.transaction():
        seq = _seq_of(job, await fetch(connection, query, rows.job_columns(job)))
        if len(await fetch(connection, "take_references", {**taken})) < len(taken["keys"]):
            raise references.gone()
        return seq


async def _queue_once(job: Job, key: IdempotencyKey, connection: Connection) -> IdempotencyKey:
    wanted = {**rows.key_columns(key), "now": job.submitted_at}
    async with connection.transaction():
        # Another who takes the key right now is waited for: the constraint decides, and then its row can be read.
        while not await fetch(connection, "take_idempotency_key", wanted):
            if known := await fetch(connection, "find_idempotency_key", wanted):
                return rows.idempotency_key_from(known[0])
            # It has expired for somebody whose clock is ahead, and was deleted between the two looks.
        await _queue(job, connection)
    return key


@contextlib.asynccontextmanager
async def open_postgres(url: str, *, most_connections: int, writes: bool = False) -> AsyncIterator[PostgresStore]:
    """Open a database that `migrate_postgres` has prepared.

    Args:
        writes: it is opened by a service: refuse one that is read-only or not set up for its user.

    Raises:
        StoreNewer: a newer version of Pipelet wrote it.
        StoreUnusable: it cannot be reached, refuses, or is older than this version.
    """
    connections = Connections(url, most=most_connections)
    try:
        version = await _schema_version(connections)
        where = name_of(url)
        if version is None or (version in migrations.KNOWN and version != migrations.HEAD):
            raise StoreUnusable(f"The database at {where} has to be brought up to date first: run `pipelet migrate`.")
        if version != migrations.HEAD:
            raise StoreNewer(
                f"The database at {where} was written by a newer version of Pipelet (schema {version}; this version "
                f"knows up to {migrations.HEAD}). Install that version, or point PIPELET_DATABASE_URL at another "
                "database."
            )
        await connections.refuse_pooling_by_transaction()
        if writes:
            await postgres_checks.require_setup(connections)
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


async def require_creatable(url: str) -> None:
    """
    Raises:
        StoreUnusable: `migrate_postgres` could not create its tables there.
    """
    connections = Connections(url, most=1)
    try:
        await postgres_checks.require_creatable(connections)
    finally:
        await connections.close()


async def _schema_version(connections: Connections) -> str | None:
    async def look(connection: Connection) -> str | None:
        major = connection.get_server_version().major
        if major < OLDEST_SERVER:
            raise StoreUnusable(
                f"The database runs PostgreSQL {major}; Pipelet needs {OLDEST_SERVER} or newer. Upgrade the server."
            )
        if (encoding := connection.get_settings().server_encoding) != "UTF8":
            raise StoreUnusable(
                f"The database at {name_of(connections.url)} is encoded in {encoding}, which cannot hold every prompt. "
                "Create one with ENCODING 'UTF8' TEMPLATE template0."
            )
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        version: str | None = await connection.fetchval(SQL["schema_version"].text)
        return version

    return await connections.run(look)
