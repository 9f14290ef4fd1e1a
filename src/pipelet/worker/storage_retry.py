"""Retries storage operations: a full disk or an unavailable store delays a finished image and does not lose it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import structlog

from pipelet.concurrency.backoff import Backoff, retry_until_success
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import BlobStoreError, StoreError

log = structlog.get_logger()

Result = TypeVar("Result")


async def retry_until_stored(run: Callable[[], Awaitable[Result]], *, operation: str = "storing") -> Result:
    """Await `run` until it succeeds; the log names the `operation`.

    The holder of the lease cancels it when the lease is lost.
    """
    throttle = LogThrottle()
    report = partial(throttle.write, log.error, "storage.retrying", operation=operation)
    return await retry_until_success(
        run,
        retry_on=(BlobStoreError, StoreError),
        backoff=Backoff(initial=0.2, maximum=15.0),
        on_failure=lambda error: report(reason=str(error)),
    )
