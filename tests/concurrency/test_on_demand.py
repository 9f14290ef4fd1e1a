"""A task that starts when it is needed."""

import asyncio

import pytest

from pipelet.concurrency.on_demand import OnDemandTask


async def test_it_runs_once_at_a_time_and_again_after_its_end() -> None:
    """A second start while it runs does nothing."""
    may_end, runs = asyncio.Event(), []

    async def run() -> None:
        runs.append(1)
        await may_end.wait()

    task = OnDemandTask(run, on_crash=pytest.fail)

    assert [True, False] == [task.start(), task.start()]
    may_end.set()
    while task.is_running:
        await asyncio.sleep(0)
    assert task.start()
    while task.is_running:
        await asyncio.sleep(0)
    assert [1, 1] == runs


async def test_a_crash_is_told_and_reported() -> None:
    """`on_crash` is called, the event loop gets the error, and the task can be started again."""
    told, reported = asyncio.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    async def run() -> None:
        raise ValueError("x")

    task = OnDemandTask(run, on_crash=told.set)
    task.start()
    await told.wait()
    await asyncio.sleep(0)

    assert ["x"] == [str(each) for each in reported]
    assert task.start()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
