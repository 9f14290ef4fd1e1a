"""Work that an event can end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def unless(work: Coroutine[Any, Any, Result], *events: asyncio.Event) -> Result | None:
    """The result of `work`; or None where one of `events` was set first: `work` was then cancelled and has ended."""
    working = asyncio.create_task(work)
    watching = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait([working, *watching], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, *watching):
            task.cancel()  # does nothing to a task that is done
        await asyncio.gather(working, *watching, return_exceptions=True)
    return None if working.cancelled() else working.result()
