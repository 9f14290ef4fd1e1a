"""Values that many requests ask for and that may be a moment old."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pipelet.domain.ports import Clock

T = TypeVar("T")


class Recent(Generic[T]):
    """What `read` answered, read again once it is `seconds` old."""

    def __init__(self, read: Callable[[], Awaitable[T]], *, seconds: float, clock: Clock) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._known: tuple[T, float] | None = None

    async def get(self) -> T:
        now = self._clock.now()
        # A clock that was set back makes the age negative; then the value is read again, too.
        if self._known is None or not 0 <= now - self._known[1] < self._seconds:
            self._known = (await self._read(), now)
        return self._known[0]
