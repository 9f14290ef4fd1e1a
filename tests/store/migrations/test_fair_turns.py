"""Schema 0001 to 0002: a waiting queue gets its counters, and statements of the version before still work next to it.

`version_0001/` has the statements of that version, as they were.
"""

import asyncio
import contextlib
import json
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest

from pipelet.domain.jobs.job import Job, JobState, Lease
from pipelet.domain.jobs.outcome import Released
from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.domain.ports.store import Store
from pipelet.store import migrations
from pipelet.store.postgres import open_postgres
from pipelet.store.postgres.migrate import migrate_postgres
from pipelet.store.queries import numbered
from pipelet.store.rows import job_columns
from pipelet.store.sqlite import open_sqlite
from pipelet.store.sqlite.migrate import migrate_sqlite
from pipelet.store.transitions import attempt_end
from tests.store.conformance.calls import drain
from tests.support import databases
from tests.support.jobs import APP, claim_request, make_job
from tests.support.servers.postgres import Server

STATEMENTS = Path(__file__).parent / "version_0001"
APPS = [APP, "other"]


class Old(Protocol):
    """Runs statements of the version before by name."""

    async def __call__(self, query: str, **values: Any) -> list[Any]: ...


Opened = tuple[Old, Callable[[], AbstractAsyncContextManager[Store]], Callable[[], None]]


def only_first(folder: Path) -> Path:
    """Return a folder with the first migration alone."""
    for dialect in ("sqlite", "postgresql"):
        (folder / dialect).mkdir(parents=True)
        shutil.copy(migrations.FOLDER / dialect / "0001_initial.sql", folder / dialect)
    return folder


@contextlib.asynccontextmanager
async def _sqlite(tmp_path: Path) -> AsyncIterator[Opened]:
    path = tmp_path / "pipelet.sqlite"
    migrate_sqlite(path, only_first(tmp_path / "first"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row

        async def old(query: str, **values: Any) -> list[Any]:
            lists = {name: json.dumps(value) for name, value in values.items() if isinstance(value, list)}
            text = (STATEMENTS / "sqlite" / f"{query}.sql").read_text()
            return connection.execute(text, values | lists).fetchall()

        @contextlib.asynccontextmanager
        async def opened() -> AsyncIterator[Store]:
            store = open_sqlite(path)
            try:
                yield store
            finally:
                store.close()

        yield old, opened, lambda: migrate_sqlite(path)


@contextlib.asynccontextmanager
async def _postgres(tmp_path: Path, server: Server) -> AsyncIterator[Opened]:
    url = await asyncio.to_thread(server.new_database)
    await asyncio.to_thread(migrate_postgres, url, only_first(tmp_path / "first"))
    connection = await asyncpg.connect(url)

    async def old(query: str, **values: Any) -> list[Any]:
        text, names = numbered((STATEMENTS / "postgresql" / f"{query}.sql").read_text())
        return await connection.fetch(text, *(values[name] for name in names))

    try:
        yield old, lambda: open_postgres(url, pool_size=3), lambda: migrate_postgres(url)
    finally:
        await connection.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    opened = (
        _sqlite(tmp_path)
        if request.param == "sqlite"
        else _postgres(tmp_path, request.getfixturevalue("postgres_server"))
    )
    async with opened as found:
        yield found


async def submit(old: Old, number: int, **changes: Any) -> str:
    job = make_job(priority=number % 2, app=APPS[number % 3 // 2], **changes)
    await old("submit_job", **job_columns(job))
    return job.id


CLAIM = {"now": 1.0, "worker": "old", "expires_at": 9e9, "exclude_ids": [], "message": "Started, attempt %s."}


async def test_a_waiting_queue_gets_its_counters(database: Opened) -> None:
    """A thousand requests that waited keep their places and start in their order."""
    old, opened, migrate = database
    ids = [await submit(old, number) for number in range(1_000)]
    await asyncio.to_thread(migrate)

    async with opened() as store:
        jobs = await store.jobs.get_many(ids)
        expected = sorted(jobs.values(), key=lambda job: (-job.priority, job.seq))
        places = await store.queue.work_ahead_many(expected, APPS)
        assert list(range(1_000)) == [places[job.id].requests for job in expected]
        assert [job.id for job in expected] == await drain(store, *APPS)


async def test_statements_of_the_version_before_keep_working(database: Opened) -> None:
    """Its submits are counted and come before others of their priority, it claims, ends and moves in its order of
    arrival, and the places that it reads are exact in that order."""
    old, opened, migrate = database
    first = [await submit(old, number) for number in range(40)]
    await asyncio.to_thread(migrate)
    async with opened() as store:
        new = [(await store.jobs.submit(make_job(user=f"user-{number}", priority=1))).id for number in range(3)]
        late = [await submit(old, number) for number in range(40, 60)]
        jobs = await store.jobs.get_many([*first, *new, *late])
        order = sorted(jobs.values(), key=lambda job: (-job.priority, job.seq))
        for place, job in enumerate(order):
            [ahead] = await old("work_ahead", apps=APPS, priority=job.priority, seq=job.seq)
            assert place == ahead["requests"]
        [backlog] = await old("backlog", apps=APPS, priority=1)
        assert sum(job.priority == 1 for job in order) == backlog["requests"]

        of_app = [job for job in order if job.app == APP]
        for number in range(5):
            [row] = await old("claim_job", app=APP, apps=[APP], token=f"token-{number}", **CLAIM)
            assert of_app[number].id == row["id"]
        end = {"state": "cancelled", "now": 2.0, "failure_kind": "cancelled", "failure_message": "", "message": ""}
        await old("end_queued_job", id=late[-1], level="INFO", **end)
        await old("move_to_front", id=late[0], now=2.0, message="")

        waiting = [job for job in order if job not in of_app[:5] and job.id not in (late[0], late[-1])]
        places = await store.queue.work_ahead_many(waiting, APPS)
        assert list(range(1, 1 + len(waiting))) == [places[job.id].requests for job in waiting]
        assert [late[0], *(job.id for job in waiting)] == await drain(store, *APPS)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_fifo_is_the_order_of_the_version_before(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The same calls on a database of the version before and on one in the order `fifo` start the same requests, and
    report the same places, for all users and costs."""
    (tmp_path / "new").mkdir()
    if dialect == "sqlite":
        before, opened = _sqlite(tmp_path), databases.new_sqlite(tmp_path / "new")
    else:
        server = request.getfixturevalue("postgres_server")
        before, opened = _postgres(tmp_path, server), await asyncio.to_thread(databases.new_postgres, server)
    async with before as (old, _, _), opened() as store:
        await store.queue.set_order(QueueOrder.FIFO)
        await _replay(old, store, random.Random(2))


async def _replay(old: Old, store: Store, rng: random.Random) -> None:
    jobs: list[Job] = []
    leases: dict[str, Lease] = {}
    for number in range(240):
        job = make_job(user=rng.choice("abc"), priority=rng.choice((0, 0, 1)), app=rng.choice(APPS))
        job = replace(job, model="demo", turn_cost=rng.randint(1, 10**6))
        await old("submit_job", **job_columns(job))
        jobs.append(await store.jobs.submit(job))
        chosen = rng.choice(jobs).id
        match rng.randrange(6):
            case 0 | 1:
                lease = await store.leases.claim(replace(claim_request(APP), token=f"token-{number}"))
                claimed = await old("claim_job", app=APP, apps=[APP], token=f"token-{number}", **CLAIM)
                assert [row["id"] for row in claimed] == ([lease.job.id] if lease else [])
                if lease is not None:
                    leases[lease.job.id] = lease
            case 2:
                end = {"state": "cancelled", "failure_kind": "cancelled", "failure_message": "", "message": ""}
                await old("end_queued_job", id=chosen, now=2.0, level="INFO", **end)
                await store.jobs.cancel(chosen, 2.0)
            case 3 if leases:
                _, lease = leases.popitem()
                await store.leases.finish(lease, Released("stopping"), 2.0)
                await old("finish_attempt", **attempt_end(lease.job, lease.token, Released("stopping"), 2.0))
            case 4 if number % 4 == 0:
                await old("move_to_front", id=chosen, now=2.0, message="")
                await store.queue.move_to_front(chosen, 2.0)
        found = (await store.jobs.get_many([chosen]))[chosen]
        if found.state is JobState.QUEUED:
            [ahead] = await old("work_ahead", apps=APPS, priority=found.priority, seq=found.seq)
            assert ahead["requests"] == (await store.queue.work_ahead(found, APPS)).requests
