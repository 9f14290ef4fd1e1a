"""A thing of which there is so much, such as memory, shared by all users: whoever finds none left waits for a turn."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from pipelet.threads import DaemonThreads

T = TypeVar("T")


class Shares:
    """The next turn is that of the user who holds least, in the order of asking; who has `per_user` is passed over.

    asyncio's semaphores know one unit and no users.
    """

    def __init__(self, total: int, per_user: int) -> None:
        self._free = total
        self._per_user = min(per_user, total)
        self._held: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], tuple[str, int]] = {}

    @property
    def free(self) -> int:
        return self._free

    @contextlib.asynccontextmanager
    async def hold(self, user: str, units: int = 1) -> AsyncIterator[None]:
        """What is more than a user may have is as much as that. How long to wait is the caller's to bound."""
        units = min(units, self._per_user)
        await self._take(user, units)
        try:
            yield
        finally:
            self._give_back(user, units)

    async def _take(self, user: str, units: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = (user, units)
        self._next()
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiting.pop(turn, None) is None:  # its turn had come in the same moment
                self._give_back(user, units)
            else:
                self._next()  # others may have waited behind it
            raise

    def _give_back(self, user: str, units: int) -> None:
        self._free += units
        self._held[user] -= units
        if not self._held[user]:
            del self._held[user]
        self._next()

    def _next(self) -> None:
        while self._waiting:
            eligible = (turn for turn, wanted in self._waiting.items() if self._may_have(turn, *wanted))
            turn = min(eligible, key=lambda turn: self._held[self._waiting[turn][0]], default=None)
            if turn is None or self._waiting[turn][1] > self._free:
                return  # where one is first, smaller ones that went before would make it wait for ever
            user, units = self._waiting.pop(turn)
            self._free -= units
            self._held[user] += units
            turn.set_result(None)

    def _may_have(self, turn: asyncio.Future[None], user: str, units: int) -> bool:
        return not turn.done() and self._held[user] + units <= self._per_user  # done: cancelled, in this moment


class SharedThreads:
    """Threads of which each user has a share."""

    def __init__(self, total: int, per_user: int, *, name: str) -> None:
        self._threads = DaemonThreads(total, name=name)
        self._turns = Shares(total, per_user)

    @property
    def free(self) -> int:
        return self._turns.free

    async def run(self, user: str, work: Callable[[], T]) -> T:
        async with contextlib.AsyncExitStack() as turn:
            await turn.enter_async_context(self._turns.hold(user))
            running = asyncio.ensure_future(self._threads.run(work))
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                kept = turn.pop_all()  # nothing stops a thread: until it ends, the turn is its user's
                running.add_done_callback(lambda _: asyncio.ensure_future(kept.aclose()))
                raise
