"""A migration while processes work."""

import asyncio
from pathlib import Path

import asyncpg

from pipelet.store.postgres.migrate import migrate_postgres
from tests.store.migrations.test_upgrade import with_next
from tests.support import databases
from tests.support.servers.postgres import Server
from tests.support.waiting import eventually

MIGRATION = "ALTER TABLE job ADD COLUMN tag text;\nALTER TABLE file ADD COLUMN tag text;\n"
WAITS = "SELECT count(*) FROM pg_locks WHERE relation = 'file'::regclass AND NOT granted"


async def test_a_migration_that_meets_a_deadlock_is_retried(postgres_server: Server, tmp_path: Path) -> None:
    """If it and a working process wait for each other, and the database ends the migration, the process continues
    undisturbed and the database is migrated."""
    url = await asyncio.to_thread(databases.new_postgres_url, postgres_server)
    working = await asyncpg.connect(url)
    # The session whose time is up first finds the deadlock, and is ended.
    await working.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET deadlock_timeout = '2s'")
    await working.execute("SET deadlock_timeout = '1min'")

    async with working.transaction():
        await working.execute("LOCK TABLE file IN ROW EXCLUSIVE MODE")
        migration = asyncio.create_task(asyncio.to_thread(migrate_postgres, url, with_next(tmp_path, MIGRATION)))
        await asyncio.to_thread(eventually, lambda: postgres_server.psql(WAITS, url) == "1")
        assert 0 == await working.fetchval("SELECT count(*) FROM job")
    await migration

    assert "deadlock detected" in (postgres_server.folder / "log").read_text()
    assert 0 == await working.fetchval("SELECT count(tag) FROM file")
    await working.close()
