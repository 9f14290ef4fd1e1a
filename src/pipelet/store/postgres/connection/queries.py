"""The queries of the shared store, run by name."""

from typing import Any

import asyncpg

from pipelet.store import queries
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool

SQL = {name: queries.numbered(text) for name, text in queries.load("postgresql").items()}


async def fetch(connection: Connection, query: str, values: dict[str, Any]) -> list[asyncpg.Record]:
    """Run one of several queries of a transaction."""
    text, names = SQL[query]
    found: list[asyncpg.Record] = await connection.fetch(text, *(values[name] for name in names))
    return found


class PostgresQueries:
    """Runs single queries, each a transaction. A query may run twice or more: see `ConnectionPool.run`."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    async def all(self, query: str, **values: Any) -> list[asyncpg.Record]:
        return await self._pool.run(lambda connection: fetch(connection, query, values))

    async def one(self, query: str, **values: Any) -> asyncpg.Record | None:
        return next(iter(await self.all(query, **values)), None)

    async def run_durable(self, query: str, **values: Any) -> list[asyncpg.Record]:
        return await self._pool.run_durable(lambda connection: fetch(connection, query, values))
