"""New databases for tests, with their tables."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipelet.domain.ports.store import Store
from pipelet.store.postgres import open_postgres
from pipelet.store.postgres.migrate import migrate_postgres
from pipelet.store.sqlite import open_sqlite
from pipelet.store.sqlite.migrate import migrate_sqlite
from tests.support.servers.postgres import Server

Opener = Callable[[], AbstractAsyncContextManager[Store]]


@cache
def empty_sqlite() -> bytes:
    """Return the file of a database with empty tables. Copying it is faster than migrating a new one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipelet.sqlite"
        migrate_sqlite(path)
        return path.read_bytes()


@contextlib.asynccontextmanager
async def open_database(database: str) -> AsyncIterator[Store]:
    """Open a URL of PostgreSQL, or the file of an embedded database."""
    if database.startswith("postgres"):
        async with open_postgres(database, pool_size=5) as shared:
            yield shared
        return
    store = open_sqlite(Path(database))
    try:
        yield store
    finally:
        store.close()


def new_sqlite(folder: Path) -> Opener:
    path = folder / "pipelet.sqlite"
    path.write_bytes(empty_sqlite())
    return lambda: open_database(str(path))


@dataclass(frozen=True)
class LentDatabase:
    """A database of PostgreSQL, with the tables as the migrations left them."""

    server: Server
    url: str

    def open(self) -> AbstractAsyncContextManager[Store]:
        return open_postgres(self.url, pool_size=5)

    def empty(self) -> None:
        """Bring the tables and the sequences to where the migrations left them. Stores may stay open."""
        self.server.psql(_EMPTY, self.url)

    def end_sessions(self) -> None:
        """End the sessions that a test may have left."""
        self.server.psql(_END_SESSIONS, self.url)


@contextlib.contextmanager
def lent_postgres(server: Server) -> Iterator[LentDatabase]:
    """Lend an empty database to a caller that leaves its tables as they are, and no store open.

    PostgreSQL takes a tenth of a second for a new database, and a fifth of that to empty one that was given back.
    """
    if given_back := _given_back(server):
        database = given_back.pop()
        database.end_sessions()
        database.empty()
    else:
        database = LentDatabase(server, new_postgres_url(server))
    yield database
    given_back.append(database)


def new_postgres(server: Server) -> Opener:
    url = new_postgres_url(server)
    return lambda: open_database(url)


def new_postgres_url(server: Server) -> str:
    """Return the URL of a copy of a database that was migrated once, which is much faster than migrating each."""
    return server.new_database(template=_template(server))


@cache
def _given_back(server: Server) -> list[LentDatabase]:
    """Those that are free."""
    return []


_END_SESSIONS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_EMPTY = """
DO $$
DECLARE used record;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR used IN
    SELECT oid::regclass AS name, pg_table_size(oid) > 100000 AS is_large FROM pg_class
      WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND relname NOT IN ('schema_migration', 'queue_order') AND pg_relation_size(oid) > 0
  LOOP
    EXECUTE format(CASE WHEN used.is_large THEN 'TRUNCATE %s CASCADE' ELSE 'DELETE FROM %s' END, used.name);
  END LOOP;
  UPDATE queue_order SET name = 'fair', fifo_turn = 0;
  PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL;
END $$
"""
"""Few rows are deleted sooner than a table gets new files. They leave room behind, so large tables are truncated."""


@cache
def _template(server: Server) -> str:
    url = server.new_database()
    migrate_postgres(url)
    return url.rpartition("/")[2]
