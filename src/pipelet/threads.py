"""Threads for work that may hang, and that nobody can stop: the process ends all the same.

Python waits at its end for the threads of a ThreadPoolExecutor, shut down or not.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


class NoThreadFree(Exception):
    """All are taken, or all that one user may have."""


class DaemonThreads:
    def __init__(self, at_once: int, *, name: str, per_user: int | None = None) -> None:
        """`name` is what debuggers show."""
        self._free = asyncio.Semaphore(at_once)
        self._per_user = per_user or at_once
        # Those of users that have no thread and wait for none are dropped.
        self._free_of_user: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._name = name

    async def run(self, work: Callable[[], T], *, user: str = "", patience: float | None = None) -> T:
        """What `work` answers or raises. It counts until it ends, also where its caller no longer waits.

        Raises:
            NoThreadFree: for `patience` seconds.
        """
        of_user = self._free_of_user.setdefault(user, asyncio.Semaphore(self._per_user))
        try:
            async with asyncio.timeout(patience):
                await self._acquire(of_user)
        except TimeoutError as error:
            raise NoThreadFree from error
        loop = asyncio.get_running_loop()
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()

        def run() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:  # noqa: BLE001 - the caller's to handle
                outcome.set_exception(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(self._release, of_user)

        threading.Thread(target=run, name=self._name, daemon=True).start()
        return await asyncio.wrap_future(outcome)

    async def _acquire(self, of_user: asyncio.Semaphore) -> None:
        await of_user.acquire()
        try:
            await self._free.acquire()
        except BaseException:
            of_user.release()
            raise

    def _release(self, of_user: asyncio.Semaphore) -> None:
        self._free.release()
        of_user.release()
