"""Accepts connections from a listening socket."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass

import structlog

from pipelet.concurrency.log_throttle import LogThrottle

log = structlog.get_logger()

_ACCEPT_BATCH = 100
"""Maximum connections to accept before other tasks run."""
_NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(eq=False)
class AcceptLoop:
    """Replaces asyncio's loop, which retries and logs once per entry of the backlog when no file descriptor is left.

    https://github.com/python/cpython/issues/151615
    """

    listener: socket.socket
    connect: Callable[[socket.socket, str], Awaitable[object]]
    """Gives a connection, and the address of its client, to a protocol."""
    _: KW_ONLY
    log_throttle: LogThrottle
    pause_seconds: float
    """Wait before the next attempt when no file descriptor is left."""

    def __post_init__(self) -> None:
        """Start accepting."""
        self.listener.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._paused: asyncio.TimerHandle | None = None
        self._connecting: set[asyncio.Task[object]] = set()
        self._begin()

    def _begin(self) -> None:
        self._paused = None
        self._loop.add_reader(self.listener.fileno(), self._accept)

    def _accept(self, limit: int = _ACCEPT_BATCH) -> None:
        for _ in range(limit):
            try:
                connection, client = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:  # the client has disconnected
                continue
            except OSError as error:
                if error.errno not in _NO_RESOURCES:
                    raise
                self._pause(error)
                return
            self._connect(connection, client[0])

    def _pause(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        self.log_throttle.write(log.warning, "http.accept_failed", reason=reason, pause_seconds=self.pause_seconds)
        self._loop.remove_reader(self.listener.fileno())
        if self._paused is None:
            self._paused = self._loop.call_later(self.pause_seconds, self._begin)

    def _connect(self, connection: socket.socket, client: str) -> None:
        task = self._loop.create_task(self._connected(connection, client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connected(self, connection: socket.socket, client: str) -> None:
        with contextlib.suppress(OSError):  # the client has disconnected
            await self.connect(connection, client)

    def close(self) -> None:
        """Stop listening. Clients that have connected by then are still accepted."""
        if self.listener.fileno() < 0:
            return
        self._accept(limit=10_000)
        if self._paused is not None:
            self._paused.cancel()
        self._loop.remove_reader(self.listener.fileno())
        self.listener.close()

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._connecting, return_exceptions=True)
