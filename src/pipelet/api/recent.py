"""Values that many requests ask for and that may be a moment old."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pipelet.domain.ports import Clock

T = TypeVar("T")


class Recent(Generic[T]):
    """What `read` answered, read again once it is `seconds` old. Whoever asks meanwhile waits for the same reading."""

    def __init__(self, read: Callable[[], Awaitable[T]], *, seconds: float, clock: Clock) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._known: tuple[T, float] | None = None
        self._reading: asyncio.Task[T] | None = None

    async def get(self) -> T:
        now = self._clock.now()
        # A clock that was set back makes the age negative; then the value is read again, too.
        if self._known is not None and 0 <= now - self._known[1] < self._seconds:
            return self._known[0]
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_at(now))
        # Others wait for it, too, when the one who began it has hung up.
        return await asyncio.shield(self._reading)

    async def _read_at(self, now: float) -> T:
        try:
            value = await self._read()
            self._known = (value, now)
            return value
        finally:
            self._reading = None
