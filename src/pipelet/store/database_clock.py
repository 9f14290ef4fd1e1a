"""The clock that all machines on one database share: the database's.

Machines' own clocks differ, by minutes where nobody looks after them, and are set while programs run. A lease written
by one clock and judged by another would end too early or too late.
"""

import asyncio
import time

import structlog

from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import StoreUnusable
from pipelet.store.postgres_connection import Connection, Connections

log = structlog.get_logger()

_SYNC_SECONDS = 15.0
_SHORT_TRIP = 0.05
_LOOKS = 5
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"


class DatabaseClock:
    """Implements `domain.ports.Clock`. Between two looks it counts seconds by itself, with a clock that nobody sets."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset

    async def sync(self) -> None:
        """
        Raises:
            StoreUnusable: the database does not answer; the clock goes on as it did.
        """
        self._offset = await self._connections.run(_offset)

    async def keep_in_time(self) -> None:
        """Look again and again, for ever."""
        throttle = LogThrottle()
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            try:
                await self.sync()
            except StoreUnusable as error:  # whoever needs the database will hear of it, too
                throttle.write(log.warning, "clock.not_synced", reason=str(error))


async def _offset(connection: Connection) -> float:
    """The database's time less ours, off by half of the trip there and back at most.

    A process that is stopped in the middle of a trip, or starved, sees a long one: it looks again, and takes the
    shortest.
    """
    trips: list[tuple[float, float]] = []
    while len(trips) < _LOOKS and (not trips or min(trips)[0] > _SHORT_TRIP):
        before = time.monotonic()
        there: float = await connection.fetchval(_NOW)
        after = time.monotonic()
        trips.append((after - before, there - (before + after) / 2))
    return min(trips)[1]
