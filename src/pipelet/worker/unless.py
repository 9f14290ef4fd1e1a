"""Work that an event can end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def unless(work: Coroutine[Any, Any, Result], *events: asyncio.Event) -> Result | None:
    """The result of `work`; or None where one of `events` was set first: `work` was then cancelled and has ended.

    `work` runs in the caller's task, as under `asyncio.timeout`, so its caller continues in the same pass of the event
    loop in which it ends. In a task of its own it cost the engine five milliseconds between two requests: other tasks
    ran first, and their database write went ahead of the next claim.
    """
    caller = asyncio.current_task()
    assert caller is not None  # noqa: S101 - coroutines run in tasks
    cancels_before, is_set = caller.cancelling(), False

    async def watch(event: asyncio.Event) -> None:
        nonlocal is_set
        await event.wait()
        if not is_set:
            is_set = True
            caller.cancel()

    watching = [asyncio.create_task(watch(event)) for event in events]
    try:
        return await work
    except asyncio.CancelledError:
        # Cancelled from outside as well, the caller has to end: only our own cancel is answered with None.
        if is_set and caller.cancelling() - 1 <= cancels_before:
            return None
        raise
    finally:
        for task in watching:
            task.cancel()
        if is_set:
            caller.uncancel()
