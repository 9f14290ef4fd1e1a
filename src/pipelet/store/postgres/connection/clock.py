"""The clock that all machines on one database share: the database's.

Machines' own clocks differ, by minutes if they are not synchronized, and are set while programs run. A lease written by
one clock and judged by another would end too early or too late.
"""

import asyncio
import time

import structlog

from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import StoreError
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool

log = structlog.get_logger()

_SYNC_INTERVAL = 15.0
"""Seconds between two measurements."""
_GOOD_RTT = 0.05
"""Seconds. A round trip that is no longer needs no second sample."""
_MAX_SAMPLES = 5
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"


class DatabaseClock:
    """Implements `domain.ports.clock.Clock`. Between two measurements it counts by the monotonic clock."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset

    async def sync(self) -> None:
        """Measure the offset to the database's clock.

        Raises:
            StoreError: the database does not reply; the clock keeps the offset that it has.
        """
        self._offset = await self._pool.run(_offset)

    async def sync_forever(self) -> None:
        """Measure periodically until cancelled."""
        throttle = LogThrottle()
        while True:
            await asyncio.sleep(_SYNC_INTERVAL)
            try:
                await self.sync()
            except StoreError as error:  # each use of the database fails with it, too
                throttle.write(log.warning, "clock.sync_failed", reason=str(error))


async def _offset(connection: Connection) -> float:
    """Return the database's time minus the monotonic clock's, wrong by half of the round trip at most.

    A process that is stopped or starved during a round trip sees a long one: it takes more samples and uses the
    shortest.
    """
    samples: list[tuple[float, float]] = []
    while len(samples) < _MAX_SAMPLES and (not samples or min(samples)[0] > _GOOD_RTT):
        before = time.monotonic()
        theirs: float = await connection.fetchval(_NOW)
        after = time.monotonic()
        samples.append((after - before, theirs - (before + after) / 2))
    return min(samples)[1]
