"""Databases with another setup: each works, or is refused with one sentence."""

import asyncio
import socket
import time

import pytest

from pipelet.domain.clock import SystemClock
from pipelet.domain.errors import StoreError, StoreUnavailable
from pipelet.store.postgres import PostgresStore, open_postgres, require_creatable, schema_version
from pipelet.store.postgres.connection.pool import ConnectionPool
from pipelet.store.postgres.migrate import migrate_postgres
from tests.support import databases
from tests.support.jobs import make_job
from tests.support.servers.postgres import Server


@pytest.fixture
def url(postgres_server: Server) -> str:
    return databases.new_postgres_url(postgres_server)


@pytest.fixture
def role(postgres_server: Server) -> str:
    """The name of a role that owns nothing."""
    name = f"app_{time.monotonic_ns()}"
    postgres_server.psql(f"CREATE ROLE {name} LOGIN")
    return name


def under(role: str, url: str) -> str:
    return url.replace("postgres@", f"{role}:secret@")


async def start(url: str) -> None:
    async with open_postgres(url, pool_size=2, writes=True):
        pass


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("?channel_binding=require", "does not accept a parameter"),
        ("?sslmode=bogus", "must be one of"),
        ("?sslmode=require", "no TLS connection could be negotiated"),
        ("?target_session_attrs=bogus", "cannot be used"),
        ("?search_path=nowhere", "CREATE SCHEMA"),
        ("_not_there", "createdb"),
    ],
)
def test_an_unavailable_option_of_the_url_is_refused(postgres_server: Server, more: str, words: str) -> None:
    """One sentence says what to change; waiting would not help, so no process waits."""
    with pytest.raises(StoreError, match=words) as caught:
        migrate_postgres(postgres_server.new_database() + more)

    assert not isinstance(caught.value, StoreUnavailable)


def test_a_database_of_another_owner_is_refused(postgres_server: Server, role: str) -> None:
    """Since version 15 only the owner may create tables in the schema public: the message says how to change that, and
    a check gives it before a migration."""
    url = under(role, postgres_server.new_database())
    with pytest.raises(StoreError, match="ALTER DATABASE") as caught:
        migrate_postgres(url)
    with pytest.raises(StoreError, match=f"GRANT CREATE ON SCHEMA public TO {role}"):
        asyncio.run(require_creatable(url))

    assert "secret" not in str(caught.value)


async def test_an_empty_database_can_be_checked_before_a_migration(postgres_server: Server) -> None:
    """An empty database passes the check; one without its schema, and a read-only one, do not."""
    url = postgres_server.new_database()
    await require_creatable(url)
    with pytest.raises(StoreError, match="CREATE SCHEMA"):
        await require_creatable(f"{url}?search_path=nowhere")
    with pytest.raises(StoreError, match="primary"):
        await require_creatable(f"{url}?default_transaction_read_only=on")


def test_tables_of_another_program_stop_the_migration(postgres_server: Server) -> None:
    """A table of another program with one of Pipelet's names stops the migration."""
    url = postgres_server.new_database()
    postgres_server.psql("CREATE TABLE job (id int)", url)

    with pytest.raises(StoreError, match="a database of its own"):
        migrate_postgres(url)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_an_encoding_that_cannot_hold_every_prompt_is_refused(postgres_server: Server, encoding: str) -> None:
    """An encoding that cannot hold an emoji is refused at the start, not at the first prompt with one."""
    name = f"{encoding.lower()}_{time.monotonic_ns()}"
    options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    postgres_server.psql(f"CREATE DATABASE {name} {options}")

    with pytest.raises(StoreError, match="ENCODING 'UTF8'"):
        await schema_version(postgres_server.url(name))


async def test_a_user_that_may_only_read_is_refused_at_the_start(postgres_server: Server, url: str, role: str) -> None:
    """The missing rights are named; with rights on tables and sequences the user works without being their owner."""
    postgres_server.psql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", url)
    with pytest.raises(StoreError, match=r"may not read and write api_key, .*job_front"):
        await start(under(role, url))

    for kind in ("TABLES", "SEQUENCES"):
        postgres_server.psql(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {role}", url)
    async with open_postgres(under(role, url), pool_size=2, writes=True) as store:
        assert await store.jobs.submit(make_job())


async def test_a_read_only_database_is_refused_at_the_start(postgres_server: Server, url: str) -> None:
    """A read-only database, such as a standby, is refused; commands that only read still work."""
    job = make_job()
    async with open_postgres(url, pool_size=2) as store:
        await store.jobs.submit(job)
    postgres_server.psql(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")

    with pytest.raises(StoreError, match="Name the primary server"):
        await start(url)
    async with open_postgres(url, pool_size=2) as store:
        assert await store.jobs.get(job.id) is not None


async def test_a_server_that_becomes_read_only_and_writable_again(postgres_server: Server, url: str) -> None:
    """The check says why nothing can be written. Connections are replaced: those to a demoted server would stay
    read-only, though another server behind the same URL takes writes."""
    async with open_postgres(url, pool_size=2) as store:
        await store.check()
        async with store._pool.acquire() as connection:  # as a connection that a failover left open
            await connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(StoreError, match="read-only"):
            await store.jobs.submit(make_job())

        assert await store.jobs.submit(make_job())
        await store.check()


async def test_several_hosts_are_tried_in_turn(postgres_server: Server, url: str) -> None:
    """A host that refuses and one that is silent are skipped for every connection. If all are unavailable, the reason
    names all of them."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        others = f"127.0.0.1:1,127.0.0.1:{silent.getsockname()[1]}"
        connections = ConnectionPool(url.replace("@", f"@{others},"), max_size=2, command_timeout=0.5)
        store = PostgresStore(connections, SystemClock())
        await connections.reject_transaction_pooling()
        async with store.subscribe_work() as event:
            await store.jobs.submit(make_job())
            await asyncio.wait_for(event.wait(), timeout=20)
        await store.close()
        await connections.aclose()

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1,127\.0\.0\.1:2/nothing"):
        await schema_version("postgresql://postgres:secret@127.0.0.1:1,127.0.0.1:2/nothing")


async def test_the_host_that_takes_writes_is_chosen(postgres_server: Server, url: str) -> None:
    """A standby that is first in the URL is skipped, without target_session_attrs."""
    name = url.rpartition("/")[2]
    role = f"reader_{time.monotonic_ns()}"
    postgres_server.psql(f"CREATE ROLE {role} SUPERUSER LOGIN")
    postgres_server.psql(f"ALTER ROLE {role} IN DATABASE {name} SET default_transaction_read_only = on")
    several = under(role, url).replace("@", f"@127.0.0.1:{postgres_server.port},")

    with pytest.raises(StoreUnavailable, match="none of these servers takes writes"):
        await schema_version(several)
