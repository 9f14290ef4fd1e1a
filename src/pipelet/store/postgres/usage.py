"""The usage ledger of the shared store."""

from collections.abc import Mapping

from pipelet.domain.capacity.series import Gauges
from pipelet.store.postgres.connection.pool import Connection
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch, write_rows
from pipelet.store.usage import Usage, ends_from, gauge_rows, merged_ends


class PostgresUsage(Usage[PostgresQueries]):
    """A power cut may undo a transaction as a whole: then the entries are there again."""

    async def _add_up(self, limit: int) -> int:
        async def add(connection: Connection) -> int:
            async with connection.transaction():
                if not await _lock(connection):
                    return 0
                entries = await fetch(connection, "add_up_usage", {"limit": limit})
                merged = []
                for (minute, app), ends in ends_from(entries).items():
                    stored = await fetch(connection, "get_minute_sample", {"minute": minute, "app": app})
                    merged.append(merged_ends(minute, app, next(iter(stored), None), ends))
                await write_rows(connection, "put_minute_ends", merged)
                return len(entries)

        return await self._queries.pool.run(add)

    async def sample(self, minute: int, gauges: Mapping[str, Gauges]) -> None:
        async def write(connection: Connection) -> None:
            async with connection.transaction():
                if await _lock(connection):
                    await write_rows(connection, "put_minute_gauges", gauge_rows(minute, gauges))

        await self._queries.pool.run(write)


async def _lock(connection: Connection) -> bool:
    """Lock the ledger until the end of the transaction; False while another process holds it."""
    [row] = await fetch(connection, "lock_usage", {})
    return bool(row["is_locked"])
