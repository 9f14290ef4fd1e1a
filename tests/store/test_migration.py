"""A migration beside processes that work."""

import asyncio

import asyncpg

from pipelet.store.migrations.run import migrate_postgres
from tests.postgres_server import Server
from tests.store.test_upgrade import statements_up_to
from tests.waiting import eventually

WAITS = "SELECT count(*) FROM pg_locks WHERE relation = 'file'::regclass AND NOT granted"


async def test_a_migration_that_has_to_give_way_is_made_again(postgres_server: Server) -> None:
    """Where it and a process that works wait for each other, and the database ends the migration, the process goes on
    undisturbed and the database is brought up to date."""
    url = postgres_server.new_database()
    working = await asyncpg.connect(url)
    for statement in statements_up_to("postgresql", "0005"):
        await working.execute(statement)
    # Whose time is up first finds the deadlock, and is ended.
    await working.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET deadlock_timeout = '2s'")
    await working.execute("SET deadlock_timeout = '1min'")

    async with working.transaction():
        await working.execute("LOCK TABLE file IN ROW EXCLUSIVE MODE")
        migration = asyncio.create_task(asyncio.to_thread(migrate_postgres, url))
        await asyncio.to_thread(eventually, lambda: postgres_server.psql(WAITS, url) == "1")
        assert 0 == await working.fetchval("SELECT count(*) FROM job")
    await migration

    assert "deadlock detected" in (postgres_server.folder / "log").read_text()
    assert await working.fetchval("SELECT to_regclass('job_reference')") is not None
    await working.close()
