"""Processes of the version before that keep working while the database is migrated, and databases that are refused.

These tests bring along the migration of a next version: it adds a column.
"""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from pipelet.domain.accounts.scopes import DEFAULT_SCOPES
from pipelet.domain.capacity.cost_model import Work, spec_work
from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.domain.errors import SchemaTooNew, StoreError
from pipelet.domain.jobs.job import CancelResult
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.store import Store
from pipelet.settings import load
from pipelet.store import migrations
from pipelet.store.postgres import open_postgres
from pipelet.store.postgres import schema_version as postgres_version
from pipelet.store.postgres.migrate import migrate_postgres
from pipelet.store.sqlite import schema_version as sqlite_version
from pipelet.store.sqlite.migrate import migrate_sqlite
from pipelet.wiring.store import migrate, schema_revision
from tests.support import databases
from tests.support.jobs import APP, claim_request, make_job, make_key, success

NEXT = f"{int(migrations.HEAD) + 1:04}"
ADD_COLUMN = "ALTER TABLE job ADD COLUMN tag TEXT NOT NULL DEFAULT '';\n"
OLD_WORKER = WorkerHeartbeat(
    name="old",
    incarnation="old",
    model="m",
    profile="demo on cpu",
    apps=(APP,),
    version="0",
    ready=True,
    problem=None,
    seen_at=1.0,
    expires_at=9_000_000.0,
)
FAILS_LATE = f"{ADD_COLUMN}CREATE TABLE job (id INTEGER);\n"


@dataclass
class Database:
    """A database of the version before.

    Attributes:
        migrate: brings it to the newest version of the given folder.
        version: of its schema.
        execute: runs a statement, past the store.
    """

    migrate: Callable[[Path], Awaitable[None]]
    version: Callable[[], Awaitable[str | None]]
    execute: Callable[[str], Awaitable[None]]
    opened: Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        opened = databases.new_sqlite(tmp_path)
        return _sqlite(tmp_path / "pipelet.sqlite", opened)
    return _postgres(databases.new_postgres_url(request.getfixturevalue("postgres_server")))


def _sqlite(path: Path, opened: databases.Opener) -> Database:
    async def version() -> str | None:
        return sqlite_version(path)

    async def execute(statement: str) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(statement)

    return Database(lambda folder: asyncio.to_thread(migrate_sqlite, path, folder), version, execute, opened)


def _postgres(url: str) -> Database:
    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    return Database(
        lambda folder: asyncio.to_thread(migrate_postgres, url, folder),
        lambda: postgres_version(url),
        execute,
        lambda: open_postgres(url, pool_size=3),
    )


def with_next(folder: Path, script: str) -> Path:
    """Return a folder of all migrations, and of one more that runs `script`."""
    copy = folder / "migrations"
    for dialect in ("sqlite", "postgresql"):
        shutil.copytree(migrations.FOLDER / dialect, copy / dialect)
        (copy / dialect / f"{NEXT}_next.sql").write_text(script)
    return copy


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    return with_next(tmp_path, ADD_COLUMN)


@contextlib.asynccontextmanager
async def opened_by_newer(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "HEAD", NEXT)
        async with database.opened() as store:
            yield store


async def live(store: Store) -> None:
    """Do everything that an API and a worker do, once."""
    job = await store.jobs.submit(make_job())
    cancelled = await store.jobs.submit(make_job(priority=-1))
    assert CancelResult.CANCELLED == await store.jobs.cancel(cancelled.id, 1_000_001.0)
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(OLD_WORKER)
    lost = await store.leases.claim(claim_request(seconds=-1))
    assert lost is not None
    assert [job.id] == [each.id for each in await store.leases.requeue_expired(1_000_001.0)]
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    assert await store.leases.renew(lease, 1_000_060.0)
    assert await store.leases.report_progress(lease, Progress(1, 2))
    key = f"outputs/{job.id}.png"
    assert await store.files.reserve(lease, [key])
    assert await store.leases.finish(lease, success(key), 1_000_002.0)
    await store.workers.add_observation("demo on cpu", "generate", Work(1.0), 1.0)
    await store.api_keys.add(make_key())
    assert await store.jobs.get(job.id) is not None


async def test_a_waiting_queue_survives_an_upgrade(
    database: Database, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that waited in an older database keep their places, in number and in work, and start in their order."""
    jobs = [make_job(priority=k % 2, width=64 * (1 + k % 3), batch_size=1 + k % 4) for k in range(600)]
    async with database.opened() as store:
        for job in jobs:
            await store.jobs.submit(job)

    await database.migrate(newer)

    expected = sorted(jobs, key=lambda job: -job.priority)
    async with opened_by_newer(database, monkeypatch) as store:
        work = Work()
        for place, each in enumerate(expected):
            found = await store.jobs.get(each.id)
            assert found is not None
            ahead = await store.queue.work_ahead(found, [APP])
            assert place == ahead.requests
            assert pytest.approx(work.amounts()) == ahead.work.amounts()
            work += spec_work(found.spec)
        later = await store.jobs.submit(make_job(priority=-1))
        assert len(jobs) == (await store.queue.work_ahead(later, [APP])).requests
        assert await store.queue.move_to_front(later.id, 1_000_001.0)
        for first in (later, expected[0]):
            lease = await store.leases.claim(claim_request())
            assert lease is not None
            assert first.id == lease.job.id


async def test_the_version_before_keeps_working(
    database: Database, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has the database open during the upgrade submits, cancels, claims, finishes and reports as before,
    and what it did is right for the new version."""
    async with database.opened() as old:
        await live(old)
        await database.migrate(newer)
        for _ in range(2):
            await live(old)

        async with opened_by_newer(database, monkeypatch) as store:
            assert 3 == (await store.queue.completed_since(0.0))[APP].requests
            assert {} == await store.queue.counts()
            assert 3 == len(await store.api_keys.list_keys())
            assert 3 == (await store.workers.cost_models())["demo on cpu", "generate"].count
            [worker] = await store.workers.live(2.0)
            assert await store.workers.drain("old", 2.0)
            assert HeartbeatReply.DRAIN == await old.workers.heartbeat(OLD_WORKER)
            namesake = replace(worker, incarnation="new", seen_at=3.0)
            assert HeartbeatReply.NAME_TAKEN == await store.workers.heartbeat(namesake)


async def test_a_transaction_continues_after_an_upgrade(database: Database, newer: Path) -> None:
    """A transaction of the version before may be the first to read a table that the upgrade changed."""
    async with database.opened() as old:
        assert [] == await old.leases.requeue_expired(1.0)
        await database.migrate(newer)
        assert [] == await old.leases.requeue_expired(1.0)


async def test_a_key_of_the_version_before_may_generate(database: Database, request: pytest.FixtureRequest) -> None:
    """A key that was made without scopes may do what every key could until then."""
    blob = "x''" if "sqlite" in request.node.name else "''"
    columns = "(id, name, owner, hash, created_at)"
    await database.execute(f"INSERT INTO api_key {columns} VALUES ('k', 'n', 'ann', {blob}, 0)")  # noqa: S608

    async with database.opened() as store:
        [key] = await store.api_keys.list_keys()
        assert DEFAULT_SCOPES == key.scopes
        assert key.last_used_at is None


async def test_both_versions_share_the_queue(database: Database, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one version submits, the other finishes."""
    async with database.opened() as old:
        await database.migrate(newer)
        async with opened_by_newer(database, monkeypatch) as new:
            for theirs, ours in ((old, new), (new, old)):
                job = await theirs.jobs.submit(make_job())
                lease = await ours.leases.claim(claim_request())
                assert lease is not None
                assert job.id == lease.job.id
                assert await ours.leases.finish(lease, success(), 1_000_002.0)
                ended = await theirs.jobs.get(job.id)
                assert ended is not None
                assert ended.state.is_final


async def test_the_version_before_does_not_start_after_the_upgrade(database: Database, newer: Path) -> None:
    """It is refused with a sentence that says what to do, and both versions are named."""
    await database.migrate(newer)

    with pytest.raises(SchemaTooNew, match=rf"schema {NEXT}.*{migrations.HEAD}.*Install that version"):
        async with database.opened():
            pass


async def test_a_failing_migration_leaves_the_database_as_it_was(database: Database, tmp_path: Path) -> None:
    """None of its statements takes effect, and the version before still opens the database."""
    broken = with_next(tmp_path, FAILS_LATE)
    with pytest.raises((StoreError, asyncpg.PostgresError), match="job"):
        await database.migrate(broken)

    assert migrations.HEAD == await database.version()
    await database.execute(ADD_COLUMN)  # it did not add the column
    async with database.opened() as store:
        assert await store.jobs.submit(make_job())


async def test_a_database_of_an_earlier_pipelet_is_refused(database: Database) -> None:
    """Opening and migrating say what to do, and leave it as it is."""
    await database.execute("DROP TABLE schema_migration")
    await database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    await database.execute("INSERT INTO alembic_version VALUES ('0007')")

    with pytest.raises(StoreError, match="keep that version running until its queue is empty"):
        await database.migrate(migrations.FOLDER)
    with pytest.raises(StoreError, match="or start with a new database"):
        async with database.opened():
            pass


def test_commands_refuse_a_database_of_an_earlier_pipelet(tmp_path: Path) -> None:
    """The start of a service, `migrate` and `doctor` name the way out: each reads the schema's version first."""
    with contextlib.closing(sqlite3.connect(tmp_path / "pipelet.sqlite")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    chosen = load(data_dir=tmp_path)

    for command in (migrate, schema_revision):
        with pytest.raises(StoreError, match=r"earlier Pipelet .* keep that version running until its queue is empty"):
            command(chosen)


def test_both_dialects_have_the_same_migrations() -> None:
    """A version names the same schema on both databases."""
    names = {
        dialect: sorted(path.name for path in (migrations.FOLDER / dialect).iterdir())
        for dialect in ("sqlite", "postgresql")
    }

    assert names["sqlite"] == names["postgresql"]
    assert migrations.HEAD == names["sqlite"][-1][:4]
