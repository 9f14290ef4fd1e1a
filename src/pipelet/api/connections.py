"""Connections that stay open, of streams and of calls that wait: their limits and their end."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

from starlette.types import Receive, Scope

from pipelet.api.errors import Problem
from pipelet.http_server.extensions import ABORT_EXTENSION

_POLL_INSTEAD = "Poll the status of some requests instead."


class ConnectionLimiter:
    """The limits of one process: each connection costs memory and an open file. A refused client can poll instead."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_per_user = max(1, most // 2)
        self._by_user: Counter[str] = Counter()
        self._all = 0

    def check(self, user: str) -> None:
        """
        Raises:
            Problem: 429, `user` holds half of all connections; 503, the process has no room.
        """
        if self._by_user[user] >= self._most_per_user:
            message = (
                f"One user may have {self._most_per_user} streams and calls that wait open at once. {_POLL_INSTEAD}"
            )
            raise Problem(429, message, error_type="streams_limit")
        if self._all >= self._most:
            raise Problem(503, f"Too many streams are open. Try again later. {_POLL_INSTEAD}")

    @contextlib.contextmanager
    def hold(self, user: str) -> Iterator[None]:
        self._by_user[user] += 1
        self._all += 1
        try:
            yield
        finally:
            self._all -= 1
            self._by_user[user] -= 1
            if not self._by_user[user]:
                del self._by_user[user]

    @contextlib.contextmanager
    def admit(self, user: str) -> Iterator[None]:
        """Check the limits and count a connection during the block. Raises as `check`."""
        self.check(user)
        with self.hold(user):
            yield


@contextlib.contextmanager
def watch_disconnect(receive: Receive) -> Iterator["asyncio.Task[None]"]:
    """Yield a task that ends when the client closes its connection. It is cancelled at the end of the block."""
    disconnected = asyncio.create_task(wait_for_disconnect(receive))
    try:
        yield disconnected
    finally:
        disconnected.cancel()


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def abort_connection(scope: Scope) -> bool:
    """Abort the connection. Return False if the server has no extension for that.

    Such a server closes the connection of an incomplete response, and logs an error.
    """
    abort = scope.get("extensions", {}).get(ABORT_EXTENSION)
    if abort is not None:
        abort["now"]()
    return abort is not None
