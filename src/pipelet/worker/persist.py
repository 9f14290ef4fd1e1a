"""Storing that does not give up: a full disk or a store that is away delays a finished picture, it does not lose it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import BlobsUnusable, StoreUnusable

log = structlog.get_logger()

Result = TypeVar("Result")

_INITIAL_BACKOFF = 0.2
_MAX_BACKOFF = 15.0


async def persist(write: Callable[[], Awaitable[Result]], *, request_id: str, what: str = "storing") -> Result:
    """Repeat `write` until it is taken; the log says `what` it is.

    Whoever holds the lease ends it, by cancelling, when the lease is lost.
    """
    backoff, throttle = Backoff(initial=_INITIAL_BACKOFF, maximum=_MAX_BACKOFF), LogThrottle()
    while True:
        try:
            return await write()
        except (BlobsUnusable, StoreUnusable) as error:
            throttle.write(log.error, f"{what}.delayed", request_id=request_id, reason=str(error))
        await asyncio.sleep(backoff.next())
