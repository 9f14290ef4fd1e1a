"""Reads and drops the rest of a body after its response.

Closing a connection while its client still sends makes the kernel reset it, and the client loses a response that it
has not read yet. https://www.rfc-editor.org/rfc/rfc9112#section-9.6
"""

import asyncio
from collections.abc import Callable

from pipelet.http_server.limits import Limits


class Drain:
    """The drain of one connection. It calls `on_end` once, when the time of the client is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, on_end: Callable[[], None]) -> None:
        self._loop = loop
        self._idle_seconds = limits.drain_idle_seconds
        self._left = limits.drain_bytes
        self._on_end = on_end
        self._last = loop.time()
        self._deadline = self._last + limits.drain_seconds
        self._timer = loop.call_at(self._next_check(), self._check)

    def take(self, size: int) -> bool:
        """Count dropped bytes. Return False if there were too many."""
        self._last = self._loop.time()
        self._left -= size
        return self._left >= 0

    def force_stop(self, seconds: float) -> None:
        """End within `seconds`."""
        self._deadline = min(self._deadline, self._loop.time() + seconds)
        self._timer.cancel()
        self._timer = self._loop.call_at(self._next_check(), self._check)

    def stop(self) -> None:
        self._timer.cancel()

    def _next_check(self) -> float:
        return min(self._last + self._idle_seconds, self._deadline)

    def _check(self) -> None:
        if self._loop.time() >= self._next_check():
            self._on_end()
        else:
            self._timer = self._loop.call_at(self._next_check(), self._check)
