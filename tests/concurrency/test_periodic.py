"""Loops that survive a failing run."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipelet.concurrency.periodic import run_forever, run_periodically

Loop = Callable[..., Coroutine[Any, Any, None]]


async def _runs(loop: Loop, failures: list[Exception], **options: Any) -> list[Any]:
    """Run `loop` until a run succeeds after `failures`; returns what it logged."""
    succeeded = asyncio.Event()
    left = list(failures)

    async def run() -> None:
        if left:
            raise left.pop(0)
        succeeded.set()

    with capture_logs() as lines:
        task = asyncio.create_task(loop(run, name="x", expected=ConnectionError, max_backoff=0.001, **options))
        async with asyncio.timeout(20):
            await succeeded.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    return list(lines)


@pytest.mark.parametrize("loop", [lambda run, **options: run_periodically(0.001, run, **options), run_forever])
async def test_a_failed_run_is_logged_and_the_loop_continues(loop: Loop) -> None:
    """An expected error is a warning with its message; any other is a crash, logged with its traceback."""
    error = ZeroDivisionError("bug")
    lines = await _runs(loop, [ConnectionError("gone"), error])

    assert [("loop.failed", "warning", "gone"), ("loop.crashed", "error", repr(error))] == [
        (line["event"], line["log_level"], line["reason"]) for line in lines
    ]
    assert error is lines[1]["exc_info"]


async def test_work_that_returns_is_started_again() -> None:
    """`run_forever` starts the next run as soon as one returns, where it has no restart delay."""
    runs = asyncio.Semaphore(0)

    async def run() -> None:
        runs.release()

    task = asyncio.create_task(run_forever(run, name="x", expected=()))
    async with asyncio.timeout(20):
        for _ in range(3):
            await runs.acquire()
    task.cancel()


async def test_a_cancelled_loop_ends_although_its_cleanup_fails() -> None:
    """An error that a run raises while it is cancelled takes the place of the cancellation, and does not undo it."""
    started = asyncio.Event()

    async def run() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("closing failed")

    task = asyncio.create_task(run_forever(run, name="x", expected=ConnectionError))
    await started.wait()
    task.cancel()

    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await task
