"""PostgreSQL under failures: no connection left, a silent network, a wrong certificate, a crash."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from pipelet.domain.clock import SystemClock
from pipelet.domain.errors import QuotaExceeded, StoreError, StoreUnavailable
from pipelet.domain.jobs.job import CancelResult
from pipelet.store.postgres import PostgresStore, open_postgres, schema_version
from pipelet.store.postgres.connection.pool import ConnectionPool
from pipelet.store.postgres.migrate import migrate_postgres
from tests.support import databases
from tests.support.jobs import make_job, make_key
from tests.support.servers import postgres
from tests.support.servers.postgres import Server
from tests.support.servers.proxy import POSTGRESQL_ASKS, Proxy, proxy_to
from tests.support.servers.tcp import tls_context

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


async def test_waits_for_a_pooled_connection_when_the_server_is_full(few: str) -> None:
    """If the server allows fewer connections than the pool may open, concurrent calls still succeed."""
    async with open_postgres(few, pool_size=8) as store:
        jobs = await asyncio.gather(*(store.jobs.submit(make_job()) for _ in range(60)))

        assert jobs == [await store.jobs.get(job.id) for job in jobs]


async def test_a_server_without_a_connection_left_is_named(few: str) -> None:
    """While other clients hold all connections, calls fail within seconds with advice; accepted requests are kept, and
    everything works again once a connection is free."""
    async with open_postgres(few, pool_size=2) as store:
        taken = await store.jobs.submit(make_job())
        async with contextlib.AsyncExitStack() as others:
            await _occupy_the_rest(few, others)
            with pytest.raises(StoreUnavailable, match="PIPELET_DATABASE_POOL_SIZE"):
                await schema_version(few)
        assert await schema_version(few) is not None

        assert taken == await store.jobs.get(taken.id)
        assert await store.jobs.submit(make_job())


async def _occupy_the_rest(url: str, exits: contextlib.AsyncExitStack) -> None:
    with contextlib.suppress(asyncpg.TooManyConnectionsError):
        while True:
            exits.push_async_callback((await asyncpg.connect(url)).close)


# -- a silent network ------------------------------------------------------------------------------------------------


async def test_a_silent_network_times_out(postgres_server: Server, url: str) -> None:
    """If the network drops all packets and closes no connection, each call ends after the timeout with the reason, and
    all work again when the network does: open connections and new ones."""
    async with proxy_to(postgres_server.port) as proxy:
        connections = ConnectionPool(by_way_of(proxy, url), max_size=4, command_timeout=ANSWER_SECONDS)
        store = PostgresStore(connections, SystemClock())
        try:
            job = await store.jobs.submit(make_job())
            await asyncio.gather(*(store.jobs.get(job.id) for _ in range(8)))  # several connections are open
            proxy.flowing.clear()
            for call in (
                lambda: store.jobs.get(job.id),
                lambda: store.jobs.cancel(job.id, 1_000_001.0),
                store.queue.counts,
            ):
                with pytest.raises(StoreUnavailable, match="does not reply"):
                    await asyncio.wait_for(call(), timeout=15)
            proxy.flowing.set()

            assert CancelResult.CANCELLED == await store.jobs.cancel(job.id, 1_000_001.0)
            again = await store.jobs.submit(make_job())
            assert again == await store.jobs.get(again.id)
        finally:
            await store.close()
            await connections.aclose()


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def tls_proxy(postgres_server: Server, tmp_path: Path) -> AsyncIterator[Proxy]:
    """Terminates TLS for the server, which is built without it. `ours.pem` and `other.pem` are authorities'
    certificates."""
    context = tls_context(tmp_path / "ours.pem", "127.0.0.1")
    tls_context(tmp_path / "other.pem", "127.0.0.1")
    async with proxy_to(postgres_server.port, tls=context, tls_asked=POSTGRESQL_ASKS) as proxy:
        yield proxy


@pytest.mark.parametrize("query", ["sslmode=require", "sslmode=verify-full&sslrootcert={folder}/ours.pem"])
async def test_tls_as_the_url_requires(tls_proxy: Proxy, url: str, tmp_path: Path, query: str) -> None:
    """The store works with encryption only, and with a verified certificate and host name."""
    secured = by_way_of(tls_proxy, url) + "?" + query.format(folder=tmp_path)
    async with open_postgres(secured, pool_size=3) as store, store.subscribe_work() as event:
        job = await store.jobs.submit(make_job())
        assert job == await store.jobs.get(job.id)
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
    """A certificate of another authority or for another host, and a missing authority's file are named. For the first
    two, no process waits."""
    secured = by_way_of(tls_proxy, url).replace("127.0.0.1", host) + "?" + query.format(folder=tmp_path)
    with pytest.raises(StoreError, match=words) as caught:
        await schema_version(secured)

    assert isinstance(caught.value, StoreUnavailable) == query.endswith("=/ours.pem")


# -- a crash ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def forgetful_server() -> Iterator[Server]:
    """A server that writes to the disk only what a commit waits for."""
    with postgres.running(options="-c wal_writer_delay=10s") as server:
        yield server


@pytest.fixture
def forgetful_url(forgetful_server: Server) -> str:
    return databases.new_postgres_url(forgetful_server)


async def test_a_retried_submit_finds_its_key_full(forgetful_server: Server, forgetful_url: str) -> None:
    """The server crashed before the request was on disk, and another one took the last room: the first is refused with
    the limit, not reported as accepted."""
    key = make_key(max_queued_images=1)
    lost, other = make_job(key=key), make_job(key=key)
    async with (
        proxy_to(forgetful_server.port) as proxy,
        open_postgres(by_way_of(proxy, forgetful_url), pool_size=3) as store,
    ):
        await store.api_keys.add(key)
        proxy.hold_at = b"pg_logical_emit_message"  # the request is in the table, and waits for the disk
        submitting = asyncio.create_task(store.jobs.submit(lost))
        await asyncio.wait_for(proxy.held.wait(), timeout=20)
        await asyncio.to_thread(forgetful_server.kill)
        await asyncio.to_thread(forgetful_server.start)
        async with open_postgres(forgetful_url, pool_size=2) as second_store:
            await second_store.jobs.submit(other)
        proxy.hold_at = None
        proxy.flowing.set()

        with pytest.raises(QuotaExceeded, match="1 of at most 1"):
            await asyncio.wait_for(submitting, timeout=20)
        assert await store.jobs.get(lost.id) is None
        assert await store.jobs.get(other.id) is not None
