"""Waiting for what others do: asked again and again until it is so, and no longer than a test is patient."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest


def eventually(condition: Callable[[], Any], *, within: float = 20.0, why: str | Callable[[], str] = "") -> Any:
    """The first true value of `condition`, asked until then."""
    began = time.monotonic()
    while not (value := condition()):
        if time.monotonic() > began + within:
            pytest.fail(f"Not within {within:g} s: {why() if callable(why) else why or condition}")
        time.sleep(_pause(began))
    return value


async def until(condition: Callable[[], Any], *, within: float = 20.0) -> Any:
    """Wait as `eventually` does, while the event loop continues. What `condition` returns may have to be awaited."""
    began = time.monotonic()
    async with asyncio.timeout(within):
        while True:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(_pause(began))


def _pause(began: float) -> float:
    """Return seconds: a tenth of what has passed, so that a long wait takes little time of a core."""
    return min(0.25, max(0.01, (time.monotonic() - began) / 10))
