"""Waiting for what others do: asked again and again until it is so, and no longer than a test is patient."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest


def eventually(condition: Callable[[], Any], *, within: float = 20.0, why: str | Callable[[], str] = "") -> Any:
    """The first true value of `condition`, asked until then."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"Not within {within:g} s: {why() if callable(why) else why or condition}")
        time.sleep(0.05)
    return value


async def until(condition: Callable[[], Any], *, within: float = 20.0) -> Any:
    """As `eventually`, while the event loop continues. What `condition` returns may have to be awaited."""
    async with asyncio.timeout(within):
        while True:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.01)
