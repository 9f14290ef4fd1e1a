"""New databases for tests, with their tables."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
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


def new_sqlite(folder: Path) -> Opener:
    path = folder / "pipelet.sqlite"
    path.write_bytes(empty_sqlite())

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        store = open_sqlite(path)
        try:
            yield store
        finally:
            store.close()

    return opened


def new_postgres(server: Server) -> Opener:
    url = new_postgres_url(server)
    return lambda: open_postgres(url, pool_size=5)


def new_postgres_url(server: Server) -> str:
    """Return the URL of a copy of a database that was migrated once, which is much faster than migrating each."""
    return server.new_database(template=_template(server))


@cache
def _template(server: Server) -> str:
    url = server.new_database()
    migrate_postgres(url)
    return url.rpartition("/")[2]
