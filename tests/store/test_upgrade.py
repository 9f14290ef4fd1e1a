"""Databases of earlier versions, and processes of the version before that go on while the database is upgraded."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from pipelet.domain.errors import LimitReached
from pipelet.domain.estimate import Work, work_of
from pipelet.domain.image import Reference
from pipelet.domain.job import CancelAnswer, Job, State
from pipelet.domain.ports import JobStore
from pipelet.domain.webhooks import DeliveryState, Webhook
from pipelet.domain.workers import ReportAnswer
from pipelet.store import migrations
from pipelet.store.migrations.run import migrate_postgres, migrate_sqlite, statements
from pipelet.store.postgres import open_postgres
from pipelet.store.queries import numbered
from pipelet.store.rows import job_columns
from pipelet.store.sqlite import open_sqlite
from tests.databases import Opener
from tests.jobs import APP, make_job, make_key, wanting
from tests.postgres_server import Server

FILES = {
    "0001": "0001_initial",
    "0002": "0002_shorter_runs",
    "0003": "0003_operating",
    "0004": "0004_incarnations",
    "0005": "0005_contract",
    "0006": "0006_webhooks",
}

# As revision 0002's code has them, but for the parts that differ between the databases. That of 0003 says no less.
SUBMIT = """
INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention,
                 state, attempt, submitted_at, expected_seconds)
VALUES (:id, :app, :owner, :priority, :spec, :steps, :megapixels, :megapixel_steps, :attention,
        'queued', 0, :submitted_at, :expected_seconds)
"""
CLAIM = """
UPDATE job
SET state = 'running', attempt = attempt + 1, started_at = :now,
    worker = :worker, lease_token = :token, lease_expires_at = :expires_at
WHERE seq = (SELECT seq FROM job WHERE state = 'queued' AND app = :app ORDER BY priority DESC, seq LIMIT 1)
RETURNING *
"""
SUCCEED = """
UPDATE job
SET state = 'succeeded', finished_at = :now, images = :images, inference_seconds = :inference_seconds,
    tasks_done = tasks_total, lease_token = NULL, lease_expires_at = NULL
WHERE id = :id AND lease_token = :token
RETURNING id
"""
CANCEL = """
UPDATE job
SET state = 'cancelled', finished_at = :now, failure_kind = :failure_kind, failure_message = :failure_message
WHERE id = :id AND state = 'queued'
RETURNING id
"""
ADD_KEY = """
INSERT INTO api_key (id, name, owner, hash, created_at, expires_at, revoked_at, max_priority)
VALUES (:id, :name, :owner, :hash, :created_at, :expires_at, :revoked_at, :max_priority)
"""
REPORT = """
INSERT INTO worker (name, model, kind, apps, version, ready, problem, seen_at, expires_at)
VALUES (:name, :model, :kind, :apps, :version, :ready, :problem, :seen_at, :expires_at)
ON CONFLICT (name) DO UPDATE SET
  model = excluded.model, kind = excluded.kind, apps = excluded.apps, version = excluded.version,
  ready = excluded.ready, problem = excluded.problem, seen_at = excluded.seen_at, expires_at = excluded.expires_at
"""
# As revision 0006's code has them.
NOTE_REFERENCE = """
INSERT INTO file (key, job_id, lease_token, delete_after) VALUES (:key, :job_id, '', :delete_after)
ON CONFLICT (key) DO NOTHING
"""
TAKE_REFERENCE = "UPDATE file SET job_id = :job_id, delete_after = NULL WHERE key = :key RETURNING key"
FORGET = "DELETE FROM job WHERE id = :id RETURNING id"
RELEASE_FILES = "UPDATE file SET delete_after = :now WHERE job_id = :id RETURNING key"

Execute = Callable[[str, Mapping[str, Any]], Awaitable[list[Mapping[str, Any]]]]


@dataclass
class Old:
    """A connection of the version before, and how its database gets a new one."""

    execute: Execute
    migrate: Callable[[], Awaitable[None]]
    opened: Opener

    async def submit(self, job: Job) -> None:
        await self.execute(SUBMIT, job_columns(job))

    async def claim(self) -> str:
        values = {"now": 1_000_001.0, "worker": "old", "token": "t", "expires_at": 1_000_031.0, "app": APP}
        [row] = await self.execute(CLAIM, values)
        return str(row["id"])

    async def succeed(self, job_id: str) -> None:
        values = {"id": job_id, "token": "t", "now": 1_000_002.0, "images": "[]", "inference_seconds": 1.0}
        assert await self.execute(SUCCEED, values)

    async def cancel(self, job_id: str) -> None:
        reason = {"failure_kind": "client_cancelled", "failure_message": "Cancelled."}
        assert await self.execute(CANCEL, {"id": job_id, "now": 1_000_002.0, **reason})

    async def edit(self, job: Job) -> None:
        """Submit it, and where its pictures are stored already, take them over."""
        await self.submit(job)
        for each in job.spec.references:
            await self.execute(NOTE_REFERENCE, {"key": each.key, "job_id": job.id, "delete_after": 1_000_900.0})
            assert await self.execute(TAKE_REFERENCE, {"key": each.key, "job_id": job.id})

    async def forget(self, job_id: str) -> None:
        await self.cancel(job_id)
        assert await self.execute(FORGET, {"id": job_id})
        await self.execute(RELEASE_FILES, {"id": job_id, "now": 1_000_003.0})

    async def add_key(self) -> None:
        key = asdict(make_key())
        await self.execute(ADD_KEY, {**key, "owner": key["user"]})

    async def report(self) -> None:
        facts = {"model": "m", "kind": "box", "apps": "[]", "version": "0", "ready": True, "problem": None}
        await self.execute(REPORT, {"name": "old", **facts, "seen_at": 1.0, "expires_at": 9_000_000.0})

    async def live(self) -> None:
        """Everything it does, once."""
        await self.submit(make_job())
        cancelled = make_job(priority=-1)
        await self.submit(cancelled)
        await self.cancel(cancelled.id)
        await self.succeed(await self.claim())
        await self.add_key()
        await self.report()


@pytest.fixture(params=["0001", "0002", "0003", "0004", "0005", "0006"])
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sqlite", "postgresql"])
async def old(request: pytest.FixtureRequest, tmp_path: Path, revision: str) -> AsyncIterator[Old]:
    if request.param == "sqlite":
        with contextlib.closing(_old_sqlite(tmp_path / "pipelet.sqlite", revision)) as connection:
            yield _old_on_sqlite(connection, tmp_path / "pipelet.sqlite")
        return
    server: Server = request.getfixturevalue("postgres_server")
    url = server.new_database()
    connection = await asyncpg.connect(url)
    try:
        for statement in statements_up_to("postgresql", revision):
            await connection.execute(statement)
        yield _old_on_postgres(connection, url)
    finally:
        await connection.close()


def statements_up_to(dialect: str, revision: str) -> list[str]:
    files = [name for number, name in FILES.items() if number <= revision]
    return [
        *(statement for name in files for statement in statements(dialect, name)),
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        f"INSERT INTO alembic_version VALUES ('{revision}')",  # noqa: S608 - one of ours
    ]


def _old_sqlite(path: Path, revision: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.row_factory = sqlite3.Row
    for statement in statements_up_to("sqlite", revision):
        connection.execute(statement)
    return connection


def _old_on_sqlite(connection: sqlite3.Connection, path: Path) -> Old:
    async def execute(query: str, values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return connection.execute(query, dict(values)).fetchall()

    async def migrate() -> None:
        migrate_sqlite(path)

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[JobStore]:
        with contextlib.closing(open_sqlite(path)) as store:
            yield store

    return Old(execute, migrate, opened)


def _old_on_postgres(connection: asyncpg.Connection, url: str) -> Old:
    async def execute(query: str, values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        text, names = numbered(query)
        return await connection.fetch(text, *(values[name] for name in names))  # type: ignore[no-any-return]

    async def migrate() -> None:
        await asyncio.to_thread(migrate_postgres, url)

    return Old(execute, migrate, lambda: open_postgres(url, most_connections=3))


async def test_a_waiting_queue_survives_an_upgrade(old: Old) -> None:
    """Requests that waited in an old database keep their places, in number and in work, and begin in their order."""
    jobs = [make_job(priority=k % 2, width=64 * (1 + k % 3), batch_size=1 + k % 4) for k in range(600)]
    for job in jobs:
        await old.submit(job)

    await old.migrate()

    expected = sorted(jobs, key=lambda job: -job.priority)
    async with old.opened() as store:
        work = Work()
        for place, each in enumerate(expected):
            found = await store.get(each.id)
            assert found is not None
            assert (None, False) == (found.key_id, found.is_limited)
            ahead = await store.ahead(found, [APP])
            assert place == ahead.requests
            assert pytest.approx(work.amounts()) == ahead.work.amounts()
            work += work_of(found.spec)
        later = await store.submit(make_job(priority=-1))
        assert len(jobs) == (await store.ahead(later, [APP])).requests
        assert await store.move_to_front(later.id, 1_000_001.0)
        lease = await store.claim(wanting())
        assert lease is not None
        assert later.id == lease.job.id
        lease = await store.claim(wanting())
        assert lease is not None
        assert expected[0].id == lease.job.id


@pytest.mark.parametrize("revision", ["0001", "0002"], indirect=True)
async def test_waiting_batches_count_their_images(old: Old) -> None:
    """What waited or ran during the upgrade is known with as many images as its batch has."""
    for batch_size in (3, 2):
        await old.submit(make_job(batch_size=batch_size))
    running = await old.claim()

    await old.migrate()

    await old.succeed(running)
    async with old.opened() as store:
        assert 3 == (await store.drawn_since(0.0))[APP].images


@pytest.mark.parametrize("revision", ["0002", "0003", "0004", "0005", "0006"], indirect=True)
async def test_the_version_before_goes_on(old: Old) -> None:
    """A process that has the database open during the upgrade submits, cancels, claims, finishes and reports as before,
    and what it did is right for the new version."""
    await old.live()
    await old.migrate()

    for _ in range(2):
        await old.live()

    async with old.opened() as store:
        assert 3 == (await store.drawn_since(0.0))[APP].requests
        assert {} == await store.counts()
        assert 3 == len(await store.keys())
        assert ["old"] == [worker.name for worker in await store.live_workers(2.0)]
        assert await store.drain_worker("old", 2.0)
        await old.report()
        [worker] = await store.live_workers(2.0)
        assert worker.draining
        namesake = replace(worker, incarnation="new", seen_at=3.0)
        assert ReportAnswer.NAME_TAKEN == await store.report_worker(namesake)


@pytest.mark.parametrize("revision", ["0002", "0003"], indirect=True)
async def test_limits_count_what_the_version_before_does(old: Old) -> None:
    """Requests of a limited key that an old worker draws, or an old API cancels, make room like any other."""
    await old.live()
    await old.migrate()
    key = make_key(max_queued_images=1, max_running_images=1)
    async with old.opened() as store:
        await store.add_key(key)
        job = await store.submit(make_job(key=key))
        with pytest.raises(LimitReached):
            await store.submit(make_job(key=key))
        assert job.id == await old.claim()
        next_job = await store.submit(make_job(key=key))
        assert await store.claim(wanting()) is None
        await old.succeed(job.id)
        lease = await store.claim(wanting())
        assert lease is not None
        assert next_job.id == lease.job.id
        last = await store.submit(make_job(key=key))
        await old.cancel(last.id)
        assert CancelAnswer.CANCELLED == await store.cancel(last.id, 1_000_003.0)
        assert State.QUEUED == (await store.submit(make_job(key=key))).state


@pytest.mark.parametrize("revision", ["0005"], indirect=True)
async def test_webhooks_hear_of_what_the_version_before_ends(old: Old) -> None:
    """A request with a webhook that an old worker draws, or an old API cancels, makes it due like any other."""
    await old.live()
    await old.migrate()
    webhook = Webhook("https://example.com/", "example.com:443", "http://127.0.0.1:8000")
    async with old.opened() as store:
        drawn = await store.submit(make_job(webhook=webhook))
        cancelled = await store.submit(make_job(webhook=webhook, priority=-1))
        assert drawn.id == await old.claim()
        await old.succeed(drawn.id)
        await old.cancel(cancelled.id)
        reports = await store.outbox.reports(DeliveryState.WAITING, 10)
        assert {drawn.id, cancelled.id} == {report.job_id for report in reports}


@pytest.mark.parametrize("revision", ["0004"], indirect=True)
async def test_what_a_submit_asks_holds_for_the_version_before(old: Old) -> None:
    """An input that is not to be kept is blanked though an old worker ends the request, and its result is kept for no
    longer than was asked."""
    await old.migrate()
    async with old.opened() as store:
        job = await store.submit(replace(make_job(), keeps_input=False, keep_seconds=10.0))
        assert job.id == await old.claim()
        await old.succeed(job.id)
        ended = await store.get(job.id)
        assert ended is not None
        assert "" == ended.spec.prompt
        assert 1 == await store.delete_finished(0.0, 1_000_012.0, 9)


@pytest.mark.parametrize("revision", ["0006"], indirect=True)
async def test_pictures_stay_for_all_who_start_from_them_whatever_the_version_before_does(old: Old) -> None:
    """A request that it took the pictures from has them again; what it retries and forgets later is known, too."""
    first = make_job(references=(Reference(key="inputs/a.png", width=64, height=64),))
    await old.edit(first)
    second, third = (first.again(name, 1_000_001.0) for name in ("second", "third"))
    await old.edit(second)

    await old.migrate()

    async with old.opened() as store:
        await old.forget(second.id)
        assert [] == await store.unclaimed_files(2_000_000.0, 10)
        await old.edit(third)
        await store.cancel(first.id, 1_000_004.0)
        assert 1 == await store.delete_finished(1_000_005.0, 1_000_005.0, 10)
        assert [] == await store.unclaimed_files(2_000_000.0, 10)
        await old.forget(third.id)
        assert ["inputs/a.png"] == await store.unclaimed_files(1_000_005.0, 10)


def test_every_revision_is_named_here() -> None:
    """Whoever adds a revision looks at these tests."""
    assert {*FILES, migrations.HEAD} == set(migrations.KNOWN)
