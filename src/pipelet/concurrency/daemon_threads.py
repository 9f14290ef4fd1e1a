"""Threads for work that may hang and cannot be stopped: the process exits all the same.

At exit Python waits for the threads of a ThreadPoolExecutor, shut down or not.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from pipelet.concurrency.fair_semaphore import FairSemaphore

T = TypeVar("T")


class NoFreeThread(Exception):
    """All threads are busy, or all that one user may have."""


class DaemonThreadPool:
    """Runs functions in daemon threads, each in a new one. Waiting users take turns, as in `FairSemaphore`.

    Args:
        max_workers: maximum number of threads at a time.
        name: name of the threads in a debugger.
        per_user: maximum number of threads of one user at a time.
    """

    def __init__(self, max_workers: int, *, name: str, per_user: int | None = None) -> None:
        self._turns = FairSemaphore(max_workers, per_user or max_workers)
        self._name = name

    @property
    def free(self) -> int:
        return self._turns.free

    async def run(self, work: Callable[[], T], *, user: str = "", max_wait_seconds: float | None = None) -> T:
        """Return what `work` returns, or raise what it raises.

        A thread stays busy until `work` ends, even if its caller no longer waits.

        Raises:
            NoFreeThread: no thread was free for `max_wait_seconds`.
        """
        try:
            async with asyncio.timeout(max_wait_seconds):
                await self._turns.take(user)
        except TimeoutError as error:
            raise NoFreeThread from error
        loop = asyncio.get_running_loop()
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()

        def run() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised in the caller
                outcome.set_exception(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits
                loop.call_soon_threadsafe(self._turns.release, user)

        try:
            threading.Thread(target=run, name=self._name, daemon=True).start()
        except BaseException:  # the system has no thread left; others may end
            self._turns.release(user)
            raise
        return await asyncio.wrap_future(outcome)
