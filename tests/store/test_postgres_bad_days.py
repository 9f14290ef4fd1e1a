"""PostgreSQL on its bad days: no connection left, silence on the line, a certificate of somebody else's, a crash."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from pipelet.domain.clock import SystemClock
from pipelet.domain.errors import LimitReached, StoreAway, StoreUnusable
from pipelet.domain.job import CancelAnswer
from pipelet.store.migrations.run import migrate_postgres
from pipelet.store.postgres import PostgresStore, open_postgres, schema_version
from pipelet.store.postgres_connection import Connections
from tests import databases, postgres_server
from tests.jobs import make_job, make_key
from tests.postgres_server import Server
from tests.proxy import POSTGRESQL_ASKS, Proxy, proxy_to
from tests.tcp_server import tls_context

ANSWER_SECONDS = 0.5


@pytest.fixture
def url(postgres_server: Server) -> str:
    return databases.new_postgres_url(postgres_server)


def by_way_of(proxy: Proxy, url: str) -> str:
    before, _, database = url.rpartition("/")
    return f"{before.rpartition(':')[0]}:{proxy.port}/{database}"


# -- no connection left --------------------------------------------------------------------------------------------


@pytest.fixture
async def few(postgres_server: Server) -> str:
    """The URL of a database whose user may have three connections."""
    name = f"few_{time.monotonic_ns()}"
    postgres_server.psql(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 3")
    postgres_server.psql(f"CREATE DATABASE {name} OWNER {name}")
    url = postgres_server.url(name).replace("postgres@", f"{name}@")
    await asyncio.to_thread(migrate_postgres, url)
    return url


async def test_whoever_finds_no_connection_waits_for_one_of_ours(few: str) -> None:
    """Where the server allows fewer connections than the pool may open, many at once are served all the same."""
    async with open_postgres(few, most_connections=8) as store:
        jobs = await asyncio.gather(*(store.submit(make_job()) for _ in range(60)))

        assert jobs == [await store.get(job.id) for job in jobs]


async def test_a_server_without_a_connection_left_is_named(few: str) -> None:
    """While others hold all of them, calls fail within seconds with the advice; what was taken is there, and everything
    goes on by itself once one is free."""
    async with open_postgres(few, most_connections=2) as store:
        taken = await store.submit(make_job())
        async with contextlib.AsyncExitStack() as others:
            await _occupy_the_rest(few, others)
            with pytest.raises(StoreAway, match="PIPELET_DATABASE_CONNECTIONS"):
                await schema_version(few)
        assert await schema_version(few) is not None

        assert taken == await store.get(taken.id)
        assert await store.submit(make_job())


async def _occupy_the_rest(url: str, exits: contextlib.AsyncExitStack) -> None:
    with contextlib.suppress(asyncpg.TooManyConnectionsError):
        while True:
            exits.push_async_callback((await asyncpg.connect(url)).close)


# -- silence on the line ---------------------------------------------------------------------------------------------


async def test_a_line_that_went_silent_is_given_up(postgres_server: Server, url: str) -> None:
    """When the network swallows everything and closes nothing, each call ends after the time-out with the reason, and
    all work again when it is mended: connections that were open, and new ones."""
    async with proxy_to(postgres_server.port) as proxy:
        connections = Connections(by_way_of(proxy, url), most=4, answer_seconds=ANSWER_SECONDS)
        store = PostgresStore(connections, SystemClock())
        try:
            job = await store.submit(make_job())
            await asyncio.gather(*(store.get(job.id) for _ in range(8)))  # several connections are open
            proxy.flowing.clear()
            for call in (lambda: store.get(job.id), lambda: store.cancel(job.id, 1_000_001.0), store.counts):
                with pytest.raises(StoreAway, match="does not answer"):
                    await asyncio.wait_for(call(), timeout=15)
            proxy.flowing.set()

            assert CancelAnswer.CANCELLED == await store.cancel(job.id, 1_000_001.0)
            again = await store.submit(make_job())
            assert again == await store.get(again.id)
        finally:
            await store.close()
            await connections.close()


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def tls_proxy(postgres_server: Server, tmp_path: Path) -> AsyncIterator[Proxy]:
    """Ends TLS before the server, which was built without. `ours.pem` and `other.pem` are authorities' certificates."""
    context = tls_context(tmp_path / "ours.pem", "127.0.0.1")
    tls_context(tmp_path / "other.pem", "127.0.0.1")
    async with proxy_to(postgres_server.port, tls=context, tls_asked=POSTGRESQL_ASKS) as proxy:
        yield proxy


@pytest.mark.parametrize("query", ["sslmode=require", "sslmode=verify-full&sslrootcert={folder}/ours.pem"])
async def test_tls_as_the_url_asks_for_it(tls_proxy: Proxy, url: str, tmp_path: Path, query: str) -> None:
    """Encrypted, or with the server's certificate and name proven, all that the store does works."""
    secured = by_way_of(tls_proxy, url) + "?" + query.format(folder=tmp_path)
    async with open_postgres(secured, most_connections=3) as store, store.work_arrived() as event:
        job = await store.submit(make_job())
        assert job == await store.get(job.id)
        await asyncio.wait_for(event.wait(), timeout=20)


@pytest.mark.parametrize(
    ("host", "query", "words"),
    [
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={folder}/other.pem", "sslrootcert"),
        ("localhost", "sslmode=verify-full&sslrootcert={folder}/ours.pem", "as the certificate does"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=/ours.pem", "a certificate that PIPELET_DATABASE_URL names"),
    ],
)
async def test_a_server_that_cannot_be_trusted_is_refused(
    tls_proxy: Proxy, url: str, tmp_path: Path, host: str, query: str, words: str
) -> None:
    """A certificate of another authority or for another host, and an authority's that is missing: each is named. Of the
    first two it is sure that waiting is in vain."""
    secured = by_way_of(tls_proxy, url).replace("127.0.0.1", host) + "?" + query.format(folder=tmp_path)
    with pytest.raises(StoreUnusable, match=words) as caught:
        await schema_version(secured)

    assert isinstance(caught.value, StoreAway) == query.endswith("=/ours.pem")


# -- a crash ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def forgetful_server() -> Iterator[Server]:
    """It writes nothing to the disk that it is not waited for to write."""
    with postgres_server.running(options="-c wal_writer_delay=10s") as server:
        yield server


@pytest.fixture
def forgetful_url(forgetful_server: Server) -> str:
    return databases.new_postgres_url(forgetful_server)


async def test_a_submit_that_is_sent_again_finds_its_key_full(forgetful_server: Server, forgetful_url: str) -> None:
    """The server crashed before the request was on disk, and another took the last room meanwhile: it is refused with
    the limit, not answered as taken."""
    key = make_key(max_queued_images=1)
    lost, other = make_job(key=key), make_job(key=key)
    async with (
        proxy_to(forgetful_server.port) as proxy,
        open_postgres(by_way_of(proxy, forgetful_url), most_connections=3) as store,
    ):
        await store.add_key(key)
        proxy.hold_at = b"pg_logical_emit_message"  # the request is in the table, and waits for the disk
        submitting = asyncio.create_task(store.submit(lost))
        await asyncio.wait_for(proxy.held.wait(), timeout=20)
        await asyncio.to_thread(forgetful_server.kill)
        await asyncio.to_thread(forgetful_server.start)
        async with open_postgres(forgetful_url, most_connections=2) as second_store:
            await second_store.submit(other)
        proxy.hold_at = None
        proxy.flowing.set()

        with pytest.raises(LimitReached, match="1 of at most 1"):
            await asyncio.wait_for(submitting, timeout=20)
        assert await store.get(lost.id) is None
        assert await store.get(other.id) is not None
