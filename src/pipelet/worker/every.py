"""A loop that survives one bad turn."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from pipelet.domain.errors import PipeletError

log = structlog.get_logger()


async def every(seconds: float, turn: Callable[[], Awaitable[object]], *, name: str) -> None:
    """Run `turn` until cancelled, `seconds` apart. A turn that fails is reported, and the next one comes anyway."""
    while True:
        try:
            await turn()
        except PipeletError as error:
            log.warning("loop.turn_failed", loop=name, reason=str(error))
        except Exception:
            log.exception("loop.turn_crashed", loop=name)
        await asyncio.sleep(seconds)
