"""Loops that survive a failing run."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipelet.concurrency.periodic import run_periodically


async def _runs(seconds: float, failures: list[Exception]) -> list[MutableMapping[str, Any]]:
    """Run a loop until a run succeeds after `failures`; returns what it logged."""
    succeeded = asyncio.Event()
    left = list(failures)

    async def run() -> None:
        if left:
            raise left.pop(0)
        succeeded.set()

    with capture_logs() as lines:
        loop = run_periodically(seconds, run, name="x", expected=ConnectionError, max_backoff=0.001)
        task = asyncio.create_task(loop)
        async with asyncio.timeout(20):
            await succeeded.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    return list(lines)


@pytest.mark.parametrize("seconds", [0.001, 0])
async def test_a_failed_run_is_logged_and_the_loop_continues(seconds: float) -> None:
    """An expected error is a warning with its message; any other is a crash, logged with its traceback."""
    error = ZeroDivisionError("bug")
    lines = await _runs(seconds, [ConnectionError("gone"), error])

    assert [("loop.failed", "warning", "gone"), ("loop.crashed", "error", repr(error))] == [
        (line["event"], line["log_level"], line["reason"]) for line in lines
    ]
    assert error is lines[1]["exc_info"]


async def test_work_that_returns_is_started_again() -> None:
    """With a wait of 0, the next run starts as soon as one returns."""
    runs = asyncio.Semaphore(0)

    async def run() -> None:
        runs.release()

    task = asyncio.create_task(run_periodically(0, run, name="x", expected=()))
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

    task = asyncio.create_task(run_periodically(0, run, name="x", expected=ConnectionError))
    await started.wait()
    task.cancel()

    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await task
