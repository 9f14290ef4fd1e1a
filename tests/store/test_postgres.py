"""What is particular to the shared store."""

import asyncio
import contextlib
import random
import subprocess
import sys
from collections.abc import Iterator

import asyncpg
import pytest

from pipelet.domain.errors import StoreAway, StoreNewer, StoreUnusable
from pipelet.domain.job import CancelAnswer, State
from pipelet.domain.keys import ApiKey
from pipelet.domain.ports import JobStore
from pipelet.store import migrations
from pipelet.store.postgres import open_postgres, schema_version
from tests import databases, postgres_server
from tests.jobs import APP, make_job, make_key, success, wanting
from tests.postgres_server import Server
from tests.waiting import until


@pytest.fixture
def url(postgres_server: Server) -> str:
    return databases.new_postgres_url(postgres_server)


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[Server]:
    """One that waits for the disk, and that tests may kill."""
    with postgres_server.running() as server:
        yield server


@pytest.fixture
def mortal_url(mortal_server: Server) -> str:
    return databases.new_postgres_url(mortal_server)


@contextlib.asynccontextmanager
async def administrator(url: str) -> Iterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def throw_everybody_out(url: str) -> None:
    async with administrator(url) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )


def test_migrating_twice_changes_nothing(postgres_server: Server) -> None:
    """A migration that has nothing to do leaves the database as it is, and processes that migrate take turns."""
    url = postgres_server.new_database()
    code = f"from pipelet.store.migrations.run import migrate_postgres; migrate_postgres({url!r})"
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]

    assert [0] * 3 == [child.wait(timeout=60) for child in children]
    assert migrations.HEAD == asyncio.run(schema_version(url))


async def test_a_newer_database_is_refused(url: str) -> None:
    """A database of a later version is not touched, and the message says what to do."""
    async with administrator(url) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StoreNewer, match="newer version of Pipelet"):
        async with open_postgres(url, most_connections=2):
            pass


async def test_a_database_without_tables_is_refused(postgres_server: Server) -> None:
    """It says which command makes them."""
    with pytest.raises(StoreUnusable, match="pipelet migrate"):
        async with open_postgres(postgres_server.new_database(), most_connections=2):
            pass


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (("/test_", "/missing_"), StoreUnusable, "createdb"),
        (("postgres@", "nobody:secret@"), StoreUnusable, "user or the password"),
        (("127.0.0.1:", "127.0.0.1:1"), StoreAway, "cannot be reached"),
    ],
)
async def test_what_cannot_be_opened_is_explained(
    url: str, change: tuple[str, str], kind: type[StoreUnusable], words: str
) -> None:
    """Each with its own advice, and never with the password."""
    wrong = url.replace(*change) if kind is not StoreAway else "postgresql://postgres:secret@127.0.0.1:1/x"

    with pytest.raises(kind, match=words) as caught:
        await schema_version(wrong)

    assert isinstance(caught.value, StoreAway) == (kind is StoreAway)
    assert "secret" not in str(caught.value)


async def test_a_final_state_never_changes(url: str) -> None:
    """The database itself refuses to move a job out of a final state."""
    async with open_postgres(url, most_connections=2) as store, administrator(url) as connection:
        job = await store.submit(make_job())
        await store.cancel(job.id, 1_000_001.0)

        with pytest.raises(asyncpg.CheckViolationError, match="final state"):
            await connection.execute(
                "UPDATE job SET state = 'queued', finished_at = NULL, failure_kind = NULL WHERE id = $1", job.id
            )


async def test_broken_connections_are_not_noticed(url: str) -> None:
    """Whoever loses the connection gets another: every call answers as if nothing had been."""
    async with open_postgres(url, most_connections=3) as store:
        job = await store.submit(make_job())
        await throw_everybody_out(url)
        lease = await store.claim(wanting())
        assert lease is not None
        await throw_everybody_out(url)
        assert await store.finish(lease, success("outputs/a.png"), 1_000_002.0)
        await throw_everybody_out(url)
        finished = await store.get(job.id)

    assert finished is not None
    assert State.SUCCEEDED == finished.state


async def test_a_listener_hears_again_after_its_connection_broke(url: str) -> None:
    """It is woken when it may have missed something, and hears what comes later."""
    async with open_postgres(url, most_connections=3) as store, store.work_arrived() as event:
        await asyncio.wait_for(event.wait(), timeout=20)
        event.clear()
        await throw_everybody_out(url)
        await asyncio.wait_for(event.wait(), timeout=20)
        event.clear()

        await store.submit(make_job())
        await asyncio.wait_for(event.wait(), timeout=20)


async def test_whoever_ends_after_a_change_has_told_of_it(url: str) -> None:
    """A listener hears of it, though the one who made it is gone a moment later."""
    async with open_postgres(url, most_connections=3) as store, store.work_arrived() as event:
        await asyncio.wait_for(event.wait(), timeout=20)
        for _ in range(3):
            event.clear()
            async with open_postgres(url, most_connections=3) as other:
                await other.submit(make_job())

            await asyncio.wait_for(event.wait(), timeout=20)


async def test_many_at_once_never_lock_each_other_up(url: str) -> None:
    """Submits, cancels, claims, moves and returns of several priorities, with and without limits, from three processes,
    end, and are counted right."""
    async with contextlib.AsyncExitStack() as exits:
        stores = [await exits.enter_async_context(open_postgres(url, most_connections=6)) for _ in range(3)]
        key = make_key(max_queued_images=10_000, max_running_images=40)
        await stores[0].add_key(key)
        await asyncio.gather(*(_bustle(store, seed, key) for seed, store in enumerate(stores * 4)))

        counted, listed, of_key = await stores[0].counts(), await _queued(url), await _images(url)

    assert listed == counted[APP].queued
    assert listed
    assert of_key["counted"] == (of_key["queued_listed"], of_key["running_listed"])
    assert of_key["running"] <= 40


async def _bustle(store: JobStore, seed: int, key: ApiKey) -> None:
    rng = random.Random(seed)
    mine = []
    for turn in range(40):
        limited = key if rng.random() < 0.5 else None
        mine.append(
            await store.submit(make_job(priority=rng.randrange(3), key=limited, batch_size=rng.randrange(1, 4)))
        )
        if rng.random() < 0.3:
            await store.move_to_front(rng.choice(mine).id, 1_000_001.0)
        if rng.random() < 0.3:
            assert await store.cancel(rng.choice(mine).id, 1_000_001.0) in CancelAnswer
        if rng.random() < 0.5:
            await store.claim(wanting(seconds=rng.choice([-1, 100]), worker=f"w{seed}"))
        if turn % 10 == 9:
            await store.requeue_expired(1_000_000.0)


async def _queued(url: str) -> int:
    async with administrator(url) as connection:
        return await connection.fetchval("SELECT count(*) FROM job WHERE state = 'queued'")


async def _images(url: str) -> asyncpg.Record:
    """Of limited requests that wait and run: what the key's counters say, and what the rows say."""
    async with administrator(url) as connection:
        return await connection.fetchrow("""
            SELECT (queued_images, running_images) AS counted, running_images AS running, (
              SELECT SUM(image_count) FROM job WHERE limited AND state = 'queued'
            ) AS queued_listed, (
              SELECT SUM(image_count) FROM job WHERE limited AND state = 'running'
            ) AS running_listed
            FROM api_key
        """)


async def test_what_was_answered_survives_a_power_cut(mortal_server: Server, mortal_url: str) -> None:
    """The server is killed while requests come in: each that was taken is there afterwards, and the store goes on."""
    taken: list[str] = []
    refused: list[StoreUnusable] = []

    async def submit_until_refused() -> None:
        while not refused:
            try:
                taken.append((await store.submit(make_job())).id)
            except StoreUnusable as error:
                refused.append(error)

    async with open_postgres(mortal_url, most_connections=8) as store:
        submitting = [asyncio.create_task(submit_until_refused()) for _ in range(16)]
        await until(lambda: len(taken) >= 300, within=60)
        await asyncio.to_thread(mortal_server.kill)
        await asyncio.gather(*submitting)
        await asyncio.to_thread(mortal_server.start)

        missing = [job_id for job_id in taken if await store.get(job_id) is None]
        drained = 0
        while await store.claim(wanting()):
            drained += 1

    assert [] == missing
    assert drained >= len(taken)
    assert any("cannot be reached" in str(error) or "starting" in str(error) for error in refused)


async def test_all_processes_have_the_servers_time(url: str) -> None:
    """Times come from the database, whatever the clock of the machine says."""
    async with open_postgres(url, most_connections=2) as store, administrator(url) as connection:
        there = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")

        assert abs(store.clock.now() - there) < 1
