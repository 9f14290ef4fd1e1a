"""Threads for work that may hang, and that nobody can stop: the process ends all the same.

Python waits at its end for the threads of a ThreadPoolExecutor, shut down or not.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class DaemonThreads:
    def __init__(self, at_once: int, *, name: str) -> None:
        """`name` is what debuggers show."""
        self._free = asyncio.Semaphore(at_once)
        self._name = name

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` answers or raises. It counts until it ends, also where its caller no longer waits."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()

        def run() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:  # noqa: BLE001 - the caller's to handle
                outcome.set_exception(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(self._free.release)

        threading.Thread(target=run, name=self._name, daemon=True).start()
        return await asyncio.wrap_future(outcome)
