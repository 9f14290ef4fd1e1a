"""Work that an event cancels, waits that an event ends, and cleanup that a cancel must not cut short."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def cancel_on(work: Coroutine[Any, Any, Result], *events: asyncio.Event) -> Result | None:
    """Return the result of `work`, or None if one of `events` was set first: `work` was then cancelled and has ended.

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
        # A caller that was cancelled from outside as well must end: only our own cancel becomes None.
        if is_set and caller.cancelling() - 1 <= cancels_before:
            return None
        raise
    finally:
        for task in watching:
            task.cancel()
        if is_set:
            caller.uncancel()


def raise_if_cancelled() -> None:
    """Raise CancelledError in a task that was cancelled, and whose cleanup raised another error in its place.

    A loop that catches errors and continues calls this first: otherwise it would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def wait_for_event(*events: asyncio.Event, seconds: float) -> bool:
    """Wait at most `seconds` for one of `events`. Returns whether one is set."""
    await cancel_on(asyncio.sleep(seconds), *events)
    return any(event.is_set() for event in events)


async def cancel_and_wait(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel `tasks` and wait until all have ended; what they raise is dropped."""
    cancelled = list(tasks)
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """Run `work`, which is short, to its end; a cancel of the caller is raised afterwards."""
    task = asyncio.create_task(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
