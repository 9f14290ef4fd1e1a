"""The queries of the shared store, run by their names."""

from typing import Any

import asyncpg

from pipelet.store import queries
from pipelet.store.postgres_connection import Connection, Connections

SQL = {name: queries.numbered(text) for name, text in queries.load("postgresql").items()}


async def fetch(connection: Connection, query: str, values: dict[str, Any]) -> list[asyncpg.Record]:
    """For several queries in one transaction."""
    text, names = SQL[query]
    found: list[asyncpg.Record] = await connection.fetch(text, *(values[name] for name in names))
    return found


class PostgresQueries:
    """For one query, which is a transaction then. It may run twice or more: see `Connections.run`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def all(self, query: str, **values: Any) -> list[asyncpg.Record]:
        return await self._connections.run(lambda connection: fetch(connection, query, values))

    async def one(self, query: str, **values: Any) -> asyncpg.Record | None:
        return next(iter(await self.all(query, **values)), None)

    async def durably(self, query: str, **values: Any) -> list[asyncpg.Record]:
        return await self._connections.durably(lambda connection: fetch(connection, query, values))
