"""Durability for many commits at once: commits do not wait for the disk, and the callers that need it wait together.

A commit that waits holds its locks until then, and all submits to one priority share a row of `queue_run`: they would
reach the disk one after the other. So they commit without waiting, and one transaction after them waits. PostgreSQL
writes its log in order: when that transaction is on disk, and on the required replicas, all before it are, too.
"""

import asyncio

from pipelet.store.postgres.connection.pool import Connection, ConnectionPool

_FLUSH = """
BEGIN;
SET LOCAL synchronous_commit TO DEFAULT;
SELECT pg_logical_emit_message(true, 'pipelet', '');
COMMIT;
"""
"""An empty transaction writes no log, so its commit would not wait: this is the least that it can contain."""


class WalFlush:
    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Return when everything that this process committed before the call is durable.

        Raises:
            StoreError: that is not known.
        """
        # A flush that is running may have started before the caller's commit.
        if self._next is None:
            self._next = asyncio.create_task(self._flush_after(self._running))
        await asyncio.shield(self._next)

    async def _flush_after(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._running, self._next = self._next, None
        # Never on a second connection: if the first one died with the server, the commits may be lost.
        await self._pool.run(_flush, retry=False)


async def _flush(connection: Connection) -> None:
    await connection.execute(_FLUSH)
