"""Delays between failing attempts, and the loop that retries until one succeeds."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipelet.concurrency.cancel import raise_if_cancelled

Result = TypeVar("Result")

_JITTER = 0.2
"""Share of a delay. Spreads the retries of processes that lost the same server at the same moment."""


class Backoff:
    """Delays in seconds that double from `initial` to `maximum`, until `reset`.

    Each is shortened at random by up to a fifth.
    """

    def __init__(self, *, initial: float, maximum: float) -> None:
        self._initial = min(initial, maximum)
        self._maximum = maximum
        self._delay = self._initial

    def next(self) -> float:
        """Return the seconds to wait after the failure that just happened."""
        delay, self._delay = self._delay, min(2 * self._delay, self._maximum)
        return delay * (1 - _JITTER * random.random())  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """Start with `initial` again at the next failure: an attempt has succeeded."""
        self._delay = self._initial


async def retry_until_success(
    work: Callable[[], Awaitable[Result]],
    *,
    retry_on: tuple[type[Exception], ...],
    backoff: Backoff,
    on_failure: Callable[[Exception], object],
) -> Result:
    """Call `work` until it returns, and return its result. Other errors than `retry_on` are raised.

    Args:
        on_failure: called with the error of each failed attempt, before the delay.
    """
    while True:
        try:
            return await work()
        except retry_on as error:
            on_failure(error)
            raise_if_cancelled()
        await asyncio.sleep(backoff.next())
