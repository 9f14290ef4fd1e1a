"""Loops that survive a failing run."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import raise_if_cancelled
from pipelet.concurrency.log_throttle import LogThrottle

log = structlog.get_logger()

_INITIAL_BACKOFF = 0.5
_MAX_BACKOFF = 5.0


async def run_periodically(
    seconds: float,
    run: Callable[[], Awaitable[object]],
    *,
    name: str,
    expected: type[Exception] | tuple[type[Exception], ...],
    max_backoff: float | None = None,
) -> None:
    """Await `run`, wait `seconds`, and repeat, until cancelled. A failed run is logged and retried with backoff.

    Args:
        seconds: wait between runs; 0 for work that waits by itself.
        expected: errors that are logged as a warning with their message; any other is a bug, logged with its traceback.
        max_backoff: maximum seconds between failing runs; by default 5, or `seconds` where that is longer.
    """
    backoff = Backoff(initial=_INITIAL_BACKOFF, maximum=max_backoff or max(seconds, _MAX_BACKOFF))
    throttle = LogThrottle()
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - a bug in one run must not end the loop
            if isinstance(error, expected):
                throttle.write(log.warning, "loop.failed", loop=name, reason=str(error))
            else:
                throttle.write(log.error, "loop.crashed", loop=name, reason=repr(error), exc_info=error)
            raise_if_cancelled()
            await asyncio.sleep(max(seconds, backoff.next()))
        else:
            backoff.reset()
            await asyncio.sleep(seconds)
