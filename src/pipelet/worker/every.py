"""A loop that survives one bad turn."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import PipeletError

log = structlog.get_logger()

_INITIAL_BACKOFF = 0.5
_MAX_BACKOFF = 5.0


async def every(
    seconds: float, turn: Callable[[], Awaitable[object]], *, name: str, max_backoff: float | None = None
) -> None:
    """Run `turn` until cancelled, `seconds` apart. A turn that fails is reported, and the next one comes anyway.

    Args:
        max_backoff: the longest wait in seconds after turns that fail; by default 5, or `seconds` where that is longer.
    """
    backoff = Backoff(initial=_INITIAL_BACKOFF, maximum=max_backoff or max(seconds, _MAX_BACKOFF))
    throttle = LogThrottle()
    while True:
        try:
            await turn()
        except PipeletError as error:
            throttle.write(log.warning, "loop.turn_failed", loop=name, reason=str(error))
            await asyncio.sleep(max(seconds, backoff.next()))
        except Exception as error:  # noqa: BLE001 - a bug in one turn must not end the loop
            throttle.write(log.error, "loop.turn_crashed", loop=name, reason=repr(error), exc_info=error)
            await asyncio.sleep(max(seconds, backoff.next()))
        else:
            backoff.reset()
            await asyncio.sleep(seconds)
