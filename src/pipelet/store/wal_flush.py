"""Durability for many at once: commits do not wait for the disk, those who need to wait together afterwards.

A commit that waits holds its locks meanwhile, and all who submit to one priority level share a row of `queue_count`:
they would go to disk one after the other. So they commit without waiting, and one transaction after them does.
PostgreSQL writes its log in order: when that one is on disk, and on replicas that are to have it, all before it are.
"""

import asyncio

from pipelet.store.postgres_connection import Connection, Connections

_FLUSH = """
BEGIN;
SET LOCAL synchronous_commit TO DEFAULT;
SELECT pg_logical_emit_message(true, 'pipelet', '');
COMMIT;
"""
"""A transaction with nothing in it writes no log, so nothing would be waited for: this is the least it can hold."""


class WalFlush:
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Returns when everything that this process has committed before the call is durable.

        Raises:
            StoreUnusable: that is not known.
        """
        # One that has begun may have begun too early for us.
        if self._next is None:
            self._next = asyncio.create_task(self._flush_after(self._running))
        await asyncio.shield(self._next)

    async def _flush_after(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._running, self._next = self._next, None
        # Never on a second connection: if the first one died with the server, what it was to make durable is gone.
        await self._connections.run(_flush, again=False)


async def _flush(connection: Connection) -> None:
    await connection.execute(_FLUSH)
