"""A value that many requests read and that may be slightly stale."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class CachedValue(Generic[T]):
    """Caches what `read` returns. Concurrent readers share one call of `read`.

    Args:
        ttl_seconds: age at which the value is read again.
        now: returns the time in seconds.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], *, ttl_seconds: float, now: Callable[[], float]) -> None:
        self._read = read
        self._ttl_seconds = ttl_seconds
        self._now = now
        self._cached: tuple[T, float] | None = None
        self._reading: asyncio.Task[T] | None = None

    async def get(self) -> T:
        now = self._now()
        # A clock that was set back makes the age negative; the value is then read again.
        if self._cached is not None and 0 <= now - self._cached[1] < self._ttl_seconds:
            return self._cached[0]
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_at(now))
        # Shielded: other readers wait for it even if the one who started it is cancelled.
        return await asyncio.shield(self._reading)

    async def _read_at(self, now: float) -> T:
        try:
            value = await self._read()
            self._cached = (value, now)
            return value
        finally:
            self._reading = None
