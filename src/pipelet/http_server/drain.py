"""The rest of a body that is read and dropped after its answer.

To close a connection while its client still sends makes the kernel reset it, and the client loses the answer that it
has not read yet. https://www.rfc-editor.org/rfc/rfc9112#section-9.6
"""

import asyncio
from collections.abc import Callable

from pipelet.http_server.limits import Limits


class Drain:
    """Of one connection. `on_end` is called once when the client has had enough time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, on_end: Callable[[], None]) -> None:
        self._loop = loop
        self._idle_seconds = limits.drain_idle_seconds
        self._left = limits.drain_bytes
        self._on_end = on_end
        self._last = loop.time()
        self._deadline = self._last + limits.drain_seconds
        self._timer = loop.call_at(self._next_check(), self._check)

    def take(self, size: int) -> bool:
        """False: that was too much."""
        self._last = self._loop.time()
        self._left -= size
        return self._left >= 0

    def hurry(self, seconds: float) -> None:
        """End within so many seconds."""
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
