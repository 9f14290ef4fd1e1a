"""What the parts of the shared store have in common: the database, and who is told of changes."""

import asyncio
from contextlib import AbstractAsyncContextManager

from pipelet.domain.ports import Clock
from pipelet.store.notifications import Notifications
from pipelet.store.postgres_connection import Connections
from pipelet.store.postgres_queries import PostgresQueries

_CHANGES_PAUSE = 0.1
"""Seconds. A quick worker reports progress hundreds of times a second, and nobody reads so quickly."""


class PostgresBase:
    def __init__(self, connections: Connections, clock: Clock) -> None:
        self.clock = clock
        self._connections = connections
        self._queries = PostgresQueries(connections)
        self._work = Notifications(connections, "pipelet_work")
        self._news = Notifications(connections, "pipelet_changes", pause=_CHANGES_PAUSE)

    async def close(self) -> None:
        """Nobody may still be waiting for an answer."""
        await asyncio.gather(self._work.close(), self._news.close())

    def work_arrived(self) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._work.listen()

    def changes(self) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._news.listen()
