"""A weighted semaphore with a cap per user, for example over memory."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator


class FairSemaphore:
    """Serves the waiting user who holds the fewest units first, else in order; a user at `per_user` is skipped.

    asyncio's semaphores have neither weights nor users.

    Args:
        total: units in all.
        per_user: maximum units of one user.
    """

    def __init__(self, total: int, per_user: int) -> None:
        self.free = total
        self._per_user = min(per_user, total)
        self._held: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], tuple[str, int]] = {}

    @contextlib.asynccontextmanager
    async def acquire(self, user: str, units: int = 1) -> AsyncIterator[None]:
        """Hold `units`, at most `per_user`, while inside. A timeout is the caller's to set."""
        units = min(units, self._per_user)
        await self.take(user, units)
        try:
            yield
        finally:
            self.release(user, units)

    async def take(self, user: str, units: int = 1) -> None:
        """Wait for a turn, and hold `units` until `release`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = (user, units)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiting.pop(turn, None) is None:  # admitted in the same moment
                self.release(user, units)
            else:
                self._admit()  # it may have blocked others
            raise

    def release(self, user: str, units: int = 1) -> None:
        self.free += units
        self._held[user] -= units
        if not self._held[user]:
            del self._held[user]
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            eligible = (
                turn
                for turn, (user, units) in self._waiting.items()
                if not turn.done() and self._held[user] + units <= self._per_user  # done: just cancelled
            )
            turn = min(eligible, key=lambda turn: self._held[self._waiting[turn][0]], default=None)
            if turn is None or self._waiting[turn][1] > self.free:
                return  # smaller requests do not overtake the first: it might wait without end
            user, units = self._waiting.pop(turn)
            self.free -= units
            self._held[user] += units
            turn.set_result(None)
