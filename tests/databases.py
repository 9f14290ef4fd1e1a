"""New databases for tests, each of its own, with their tables."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path

from pipelet.domain.ports import JobStore
from pipelet.store.migrations.run import migrate_postgres, migrate_sqlite
from pipelet.store.postgres import open_postgres
from pipelet.store.sqlite import open_sqlite
from tests.postgres_server import Server

Opener = Callable[[], AbstractAsyncContextManager[JobStore]]


@cache
def empty_sqlite() -> bytes:
    """The file of a database that has its tables, and nothing in them. To make one takes longer than to copy it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipelet.sqlite"
        migrate_sqlite(path)
        return path.read_bytes()


def new_sqlite(folder: Path) -> Opener:
    path = folder / "pipelet.sqlite"
    path.write_bytes(empty_sqlite())

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[JobStore]:
        store = open_sqlite(path)
        try:
            yield store
        finally:
            store.close()

    return opened


def new_postgres(server: Server) -> Opener:
    url = new_postgres_url(server)
    return lambda: open_postgres(url, most_connections=5)


def new_postgres_url(server: Server) -> str:
    """Copied from a database that was migrated once, which is many times faster than migrating each."""
    return server.new_database(template=_template(server))


@cache
def _template(server: Server) -> str:
    url = server.new_database()
    migrate_postgres(url)
    return url.rpartition("/")[2]
