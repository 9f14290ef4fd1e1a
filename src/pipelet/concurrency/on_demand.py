"""A background task that starts when it is needed, and ends by itself when it is not."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine


class OnDemandTask:
    """
    Args:
        run: the task; it returns when nothing needs it any more.
        on_crash: called if it raises, before the event loop's handler gets the error. The next `start` runs it again.
    """

    def __init__(self, run: Callable[[], Coroutine[None, None, None]], *, on_crash: Callable[[], None]) -> None:
        self._run = run
        self._on_crash = on_crash
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> bool:
        """Start the task, unless it runs already. Return whether it has been started."""
        if self.is_running:
            return False
        # In a context of its own: its log lines are not about the request that has started it.
        self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())
        self._task.add_done_callback(self._on_done)
        return True

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._on_crash()
            task.result()
