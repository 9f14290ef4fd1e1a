"""Storing that does not give up: a full disk or a store that is away delays a finished picture, it does not lose it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from pipelet.domain.errors import BlobsUnusable, StoreUnusable

log = structlog.get_logger()

Result = TypeVar("Result")

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 15.0


async def persist(write: Callable[[], Awaitable[Result]], *, request_id: str, what: str = "storing") -> Result:
    """Repeat `write` until it is taken; the log says `what` it is.

    Whoever holds the lease ends it, by cancelling, when the lease is lost.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await write()
        except (BlobsUnusable, StoreUnusable) as error:
            log.error(f"{what}.delayed", request_id=request_id, reason=str(error), again_in_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
