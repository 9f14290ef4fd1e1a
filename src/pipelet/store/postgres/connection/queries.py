"""The queries of the shared store, run by name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from pipelet.store import queries
from pipelet.store.postgres.connection.notifier import PostgresNotifier
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool

SQL = {name: queries.numbered(text) for name, text in queries.load("postgresql").items()}


async def fetch(connection: Connection, query: str, values: Mapping[str, Any]) -> list[asyncpg.Record]:
    """Run one of several queries of a transaction."""
    text, names = SQL[query]
    found: list[asyncpg.Record] = await connection.fetch(text, *(values[name] for name in names))
    return found


async def write_rows(connection: Connection, query: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Run a query of a transaction once for each row of values, in one round trip."""
    text, names = SQL[query]
    await connection.executemany(text, [[values[name] for name in names] for values in rows])


class PostgresQueries(queries.Queries):
    """A query may run twice or more: see `ConnectionPool.run`.

    Args:
        work: notifies workers.
        changes: notifies watchers.
    """

    unique_violation = asyncpg.UniqueViolationError

    def __init__(self, pool: ConnectionPool, *, work: PostgresNotifier, changes: PostgresNotifier) -> None:
        self.pool = pool
        self._work = work
        self._changes = changes

    async def all(self, query: str, **values: Any) -> list[asyncpg.Record]:
        return await self.pool.run(lambda connection: fetch(connection, query, values))

    async def write(
        self, query: str, values: Mapping[str, Any], *, durable: bool = True, **notify: bool
    ) -> list[asyncpg.Record]:
        run = self.pool.run_durable if durable else self.pool.run
        found = await run(lambda connection: fetch(connection, query, values))
        if found:  # it has changed something
            self.notify(**notify)
        return found

    async def write_all(self, statements: Sequence[queries.Statement], **notify: bool) -> list[asyncpg.Record]:
        async def run(connection: Connection) -> list[asyncpg.Record]:
            found = [await fetch(connection, *statements[0])]
            for query, values in statements[1:]:
                if found[-1]:
                    found.append(await fetch(connection, query, values))
            return found[0]

        changed = await self.pool.run_durable(run)
        if changed:
            self.notify(**notify)
        return changed

    def notify(self, *, notify_workers: bool = False, notify_watchers: bool = True) -> None:
        """Notify after a transaction; the flags are those of `write`."""
        if notify_workers:
            self._work.notify()
        if notify_watchers:
            self._changes.notify()
