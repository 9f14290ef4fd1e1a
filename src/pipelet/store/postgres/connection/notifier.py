"""Notifies processes on all machines, workers when work arrives and open streams when a status changes, by PostgreSQL's
NOTIFY.

Inside the transactions of the changes, NOTIFY would make all of them queue for one lock of the server, ten times
slower. So a connection of the pool sends it afterwards, once for all changes since the last one. It is only a hint:
listeners also poll.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import cancel_and_wait, raise_if_cancelled
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import StoreError
from pipelet.store.postgres.connection.errors import CONNECTION_ERRORS, to_store_error
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool

log = structlog.get_logger()

_CLOSE_SECONDS = 1.0


class PostgresNotifier:
    """Sends notifications to the listeners of one channel, and receives them.

    Args:
        interval: minimum seconds between two notifications of this process; those in between become one.
    """

    def __init__(self, pool: ConnectionPool, channel: str, *, interval: float = 0.0) -> None:
        self._pool = pool
        self._channel = channel
        self._interval = interval
        self._due = False
        self._sending: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._listeners: set[asyncio.Event] = set()
        self._listening: asyncio.Task[None] | None = None
        self._throttle = LogThrottle()

    def notify(self) -> None:
        """Notify all listeners soon. Never blocks and never fails."""
        self._due = True
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Send the notification that is due, unless the database is unavailable."""
        self._closing.set()
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_CLOSE_SECONDS)
            await cancel_and_wait([self._sending])

    async def _send(self) -> None:
        while self._due:
            self._due = False
            try:
                await self._pool.run(self._execute)
            except StoreError as error:  # listeners also poll
                self._throttle.write(log.warning, "notifier.send_failed", reason=str(error))
            if self._interval:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._interval):
                        await self._closing.wait()

    async def _execute(self, connection: Connection) -> None:
        await connection.execute(f"NOTIFY {self._channel}")

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Event]:
        """Yield an event that each notification sets, and each gap in which one may be lost; the caller clears it."""
        event = asyncio.Event()
        self._listeners.add(event)
        if self._listening is None:  # one connection for all listeners
            self._listening = asyncio.create_task(self._listen())
        try:
            yield event
        finally:
            self._listeners.remove(event)
            if not self._listeners and self._listening is not None:
                listening, self._listening = self._listening, None
                await cancel_and_wait([listening])

    def _on_notify(self, *_: object) -> None:
        for event in self._listeners:
            event.set()

    async def _listen(self) -> None:
        backoff = Backoff(initial=0.5, maximum=15.0)
        while True:
            try:
                async with self._connected() as lost:
                    backoff.reset()
                    await lost.wait()
            except StoreError as error:
                self._throttle.write(log.warning, "notifier.reconnecting", reason=str(error))
            raise_if_cancelled()
            await asyncio.sleep(backoff.next())

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncio.Event]:
        """Receive notifications while inside; yield an event that is set when the connection is lost.

        Raises:
            StoreError: the database cannot be reached, or refuses.
        """
        connection = await self._pool.dedicated()
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda *_: lost.set())
            try:
                await connection.add_listener(self._channel, self._on_notify)
            except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:  # such as a standby, which cannot listen
                raise to_store_error(error, self._pool.url) from error
            self._on_notify()  # a notification may have arrived before LISTEN
            yield lost
        finally:
            connection.terminate()
