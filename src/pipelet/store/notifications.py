"""Wakes whoever listens on other machines, workers when work arrives and open streams when something changed:
PostgreSQL's NOTIFY, kept out of everybody's way.

Inside the transactions that change something it would make all of them queue for one lock of the server, ten times
slower. So a connection of the pool sends it afterwards, once for all that came meanwhile. It is a hint: whoever listens
also looks by itself now and then.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import StoreUnusable
from pipelet.store.postgres_connection import Connection, Connections
from pipelet.store.postgres_errors import AWAY, unusable

log = structlog.get_logger()

_INITIAL_BACKOFF = 0.5
_MAX_BACKOFF = 15.0
_GOOD_BYE_SECONDS = 1.0


class Notifications:
    """Whoever listens hears what is sent on the same channel.

    Args:
        pause: seconds between two notifications of this process; all that is sent meanwhile becomes one.
    """

    def __init__(self, connections: Connections, channel: str, *, pause: float = 0.0) -> None:
        self._connections = connections
        self._channel = channel
        self._pause = pause
        self._due = False
        self._sending: asyncio.Task[None] | None = None
        self._ears: set[asyncio.Event] = set()
        self._listening: asyncio.Task[None] | None = None
        self._throttle = LogThrottle()

    def send(self) -> None:
        """Never waits and never fails."""
        self._due = True
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Send what is due, unless the database is away: whoever ends right after a change has told of it."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_GOOD_BYE_SECONDS)
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self) -> None:
        while self._due:
            self._due = False
            try:
                await self._connections.run(self._notify)
            except StoreUnusable as error:  # they look by themselves
                self._throttle.write(log.warning, "notification.lost", reason=str(error))
            if self._pause:
                await asyncio.sleep(self._pause)

    async def _notify(self, connection: Connection) -> None:
        await connection.execute(f"NOTIFY {self._channel}")

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Event]:
        """The event is set at every notification, and whenever one may have been missed. Whoever waits clears it."""
        event = asyncio.Event()
        self._ears.add(event)
        if self._listening is None:  # one connection for all who listen
            self._listening = asyncio.create_task(self._listen())
        try:
            yield event
        finally:
            self._ears.remove(event)
            if not self._ears and self._listening is not None:
                listening, self._listening = self._listening, None
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    def _hear(self, *_: object) -> None:
        for event in self._ears:
            event.set()

    async def _listen(self) -> None:
        backoff = Backoff(initial=_INITIAL_BACKOFF, maximum=_MAX_BACKOFF)
        while True:
            try:
                async with self._connected() as gone:
                    backoff.reset()
                    await gone.wait()
            except StoreUnusable as error:
                self._throttle.write(log.warning, "notifications.away", reason=str(error))
            await asyncio.sleep(backoff.next())

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncio.Event]:
        """While inside, what is sent is heard. The event is set when the connection is gone.

        Raises:
            StoreUnusable: the database cannot be reached, or refuses.
        """
        connection = await self._connections.alone()
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda *_: gone.set())
            try:
                await connection.add_listener(self._channel, self._hear)
            except (asyncpg.PostgresError, *AWAY) as error:  # such as a standby, which cannot listen
                raise unusable(error, self._connections.url) from error
            self._hear()  # what came before the connection was there
            yield gone
        finally:
            connection.terminate()
