"""What is particular to the shared store."""

import asyncio
import contextlib
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import SchemaTooNew, StoreError, StoreUnavailable
from pipelet.domain.jobs.job import CancelResult, JobState
from pipelet.domain.ports.store import Store
from pipelet.store import migrations
from pipelet.store.postgres import open_postgres, schema_version
from tests.support import databases
from tests.support.jobs import APP, claim_request, make_job, make_key, success
from tests.support.servers import postgres
from tests.support.servers.postgres import Server
from tests.support.waiting import until


@pytest.fixture
def url(postgres_server: Server) -> str:
    return databases.new_postgres_url(postgres_server)


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[Server]:
    """A server that waits for the disk, and that tests may kill."""
    with postgres.running() as server:
        yield server


@pytest.fixture
def mortal_url(mortal_server: Server) -> str:
    return databases.new_postgres_url(mortal_server)


@contextlib.asynccontextmanager
async def administrator(url: str) -> AsyncIterator[Any]:
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
    code = f"from pipelet.store.postgres.migrate import migrate_postgres; migrate_postgres({url!r})"
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]

    assert [0] * 3 == [child.wait(timeout=60) for child in children]
    assert migrations.HEAD == asyncio.run(schema_version(url))


async def test_a_newer_database_is_refused(url: str) -> None:
    """A database of a later version is left as it is, and the message says what to do."""
    async with administrator(url) as connection:
        await connection.execute("INSERT INTO schema_migration VALUES ('9999', 0)")

    with pytest.raises(SchemaTooNew, match="newer version of Pipelet"):
        async with open_postgres(url, pool_size=2):
            pass


async def test_a_database_without_tables_is_refused(postgres_server: Server) -> None:
    """The message names the command that creates the tables."""
    with pytest.raises(StoreError, match="pipelet migrate"):
        async with open_postgres(postgres_server.new_database(), pool_size=2):
            pass


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (("/test_", "/missing_"), StoreError, "createdb"),
        (("postgres@", "stranger:secret@"), StoreError, "user or the password"),
        (("127.0.0.1:", "127.0.0.1:1"), StoreUnavailable, "cannot be reached"),
    ],
)
async def test_a_database_that_cannot_be_opened_is_explained(
    url: str, change: tuple[str, str], kind: type[StoreError], words: str
) -> None:
    """Each fault has its own advice, and never the password."""
    wrong = url.replace(*change) if kind is not StoreUnavailable else "postgresql://postgres:secret@127.0.0.1:1/x"

    with pytest.raises(kind, match=words) as caught:
        await schema_version(wrong)

    assert isinstance(caught.value, StoreUnavailable) == (kind is StoreUnavailable)
    assert "secret" not in str(caught.value)


async def test_a_final_state_never_changes(url: str) -> None:
    """The database itself refuses to move a job out of a final state."""
    async with open_postgres(url, pool_size=2) as store, administrator(url) as connection:
        job = await store.jobs.submit(make_job())
        await store.jobs.cancel(job.id, 1_000_001.0)

        with pytest.raises(asyncpg.CheckViolationError, match="final state"):
            await connection.execute(
                "UPDATE job SET state = 'queued', finished_at = NULL, failure_kind = NULL WHERE id = $1", job.id
            )


async def test_broken_connections_are_not_noticed(url: str) -> None:
    """A lost connection is replaced: every call succeeds as if it had not been lost."""
    async with open_postgres(url, pool_size=3) as store:
        job = await store.jobs.submit(make_job())
        await throw_everybody_out(url)
        lease = await store.leases.claim(claim_request())
        assert lease is not None
        await throw_everybody_out(url)
        assert await store.leases.finish(lease, success("outputs/a.png"), 1_000_002.0)
        await throw_everybody_out(url)
        finished = await store.jobs.get(job.id)

    assert finished is not None
    assert JobState.SUCCEEDED == finished.state


async def test_a_listener_reconnects(url: str) -> None:
    """A listener is notified when it may have missed a notification, and receives later ones."""
    async with open_postgres(url, pool_size=3) as store, store.subscribe_work() as event:
        await asyncio.wait_for(event.wait(), timeout=20)
        event.clear()
        await throw_everybody_out(url)
        await asyncio.wait_for(event.wait(), timeout=20)
        event.clear()

        await store.jobs.submit(make_job())
        await asyncio.wait_for(event.wait(), timeout=20)


async def test_a_process_that_exits_after_a_change_has_notified(url: str) -> None:
    """A listener is notified of a change, though the process that made it exits right after."""
    async with open_postgres(url, pool_size=3) as store, store.subscribe_work() as event:
        await asyncio.wait_for(event.wait(), timeout=20)
        for _ in range(3):
            event.clear()
            async with open_postgres(url, pool_size=3) as other:
                await other.jobs.submit(make_job())

            await asyncio.wait_for(event.wait(), timeout=20)


async def test_concurrent_changes_never_deadlock(url: str) -> None:
    """Concurrent submits, cancels, claims, moves and requeues of several priorities, with and without limits, from
    three processes, end and are counted correctly."""
    async with contextlib.AsyncExitStack() as exits:
        stores = [await exits.enter_async_context(open_postgres(url, pool_size=6)) for _ in range(3)]
        key = make_key(max_queued_images=10_000, max_running_images=40)
        await stores[0].api_keys.add(key)
        await asyncio.gather(*(_bustle(store, seed, key) for seed, store in enumerate(stores * 4)))

        counted, listed, of_key = await stores[0].queue.counts(), await _queued(url), await _images(url)

    assert listed == counted[APP].queued
    assert listed
    assert of_key["counted"] == (of_key["queued_listed"], of_key["running_listed"])
    assert of_key["running"] <= 40


async def _bustle(store: Store, seed: int, key: ApiKey) -> None:
    rng = random.Random(seed)
    mine = []
    for turn in range(40):
        limited = key if rng.random() < 0.5 else None
        mine.append(
            await store.jobs.submit(make_job(priority=rng.randrange(3), key=limited, batch_size=rng.randrange(1, 4)))
        )
        if rng.random() < 0.3:
            await store.queue.move_to_front(rng.choice(mine).id, 1_000_001.0)
        if rng.random() < 0.3:
            assert await store.jobs.cancel(rng.choice(mine).id, 1_000_001.0) in CancelResult
        if rng.random() < 0.5:
            await store.leases.claim(claim_request(seconds=rng.choice([-1, 100]), worker=f"w{seed}"))
        if turn % 10 == 9:
            await store.leases.requeue_expired(1_000_000.0)


async def _queued(url: str) -> int:
    async with administrator(url) as connection:
        return await connection.fetchval("SELECT count(*) FROM job WHERE state = 'queued'")


async def _images(url: str) -> asyncpg.Record:
    """Return the images of a limited key that are queued and running, by its counters and by the rows."""
    async with administrator(url) as connection:
        return await connection.fetchrow("""
            SELECT (queued_images, running_images) AS counted, running_images AS running, (
              SELECT SUM(image_count) FROM job WHERE quota_limited AND state = 'queued'
            ) AS queued_listed, (
              SELECT SUM(image_count) FROM job WHERE quota_limited AND state = 'running'
            ) AS running_listed
            FROM api_key
        """)


async def test_accepted_requests_survive_a_power_cut(mortal_server: Server, mortal_url: str) -> None:
    """The server is killed during submits: each accepted request is there afterwards, and the store works again."""
    taken: list[str] = []
    refused: list[StoreError] = []

    async def submit_until_refused() -> None:
        while not refused:
            try:
                taken.append((await store.jobs.submit(make_job())).id)
            except StoreError as error:
                refused.append(error)

    async with open_postgres(mortal_url, pool_size=8) as store:
        submitting = [asyncio.create_task(submit_until_refused()) for _ in range(16)]
        await until(lambda: len(taken) >= 300, within=60)
        await asyncio.to_thread(mortal_server.kill)
        await asyncio.gather(*submitting)
        await asyncio.to_thread(mortal_server.start)

        missing = [job_id for job_id in taken if await store.jobs.get(job_id) is None]
        drained = 0
        while await store.leases.claim(claim_request()):
            drained += 1

    assert [] == missing
    assert drained >= len(taken)
    assert any("cannot be reached" in str(error) or "starting" in str(error) for error in refused)


async def test_all_processes_have_the_servers_time(url: str) -> None:
    """Times come from the database's clock, whatever the machine's."""
    async with open_postgres(url, pool_size=2) as store, administrator(url) as connection:
        there = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")

        assert abs(store.clock.now() - there) < 1
