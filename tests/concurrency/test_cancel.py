"""Work that an event can end."""

import asyncio

import pytest

from pipelet.concurrency.cancel import cancel_and_wait, cancel_on, shielded, wait_for_event


async def test_the_caller_continues_before_other_tasks_run() -> None:
    """Nothing runs between the end of the work and the caller's next step: the next claim must not queue behind it."""
    order: list[str] = []
    ended = asyncio.Event()

    async def work() -> None:
        await ended.wait()
        asyncio.get_running_loop().call_soon(order.append, "another task")

    asyncio.get_running_loop().call_soon(ended.set)
    await cancel_on(work(), asyncio.Event())
    order.append("caller")
    await asyncio.sleep(0)

    assert ["caller", "another task"] == order


async def test_an_event_cancels_the_work_and_waits_for_its_end() -> None:
    """Where the event is set first the result is None, and what the work does at its cancellation is done."""
    event, cleaned_up = asyncio.Event(), []

    async def work() -> None:
        try:
            await asyncio.Future()
        finally:
            await asyncio.sleep(0)
            cleaned_up.append(True)

    asyncio.get_running_loop().call_soon(event.set)

    result: object = await cancel_on(work(), asyncio.Event(), event)

    assert result is None
    assert [True] == cleaned_up


async def test_a_result_in_spite_of_the_event_is_kept() -> None:
    """Work that finishes instead of being cancelled returns its result, and the caller is not cancelled later."""
    event = asyncio.Event()

    async def work() -> str:
        try:
            return await asyncio.Future()
        except asyncio.CancelledError:
            return "finished"

    asyncio.get_running_loop().call_soon(event.set)

    assert "finished" == await cancel_on(work(), event)
    await asyncio.sleep(0)
    current = asyncio.current_task()
    assert current is not None
    assert 0 == current.cancelling()


@pytest.mark.parametrize("with_event", [False, True])
async def test_a_cancelled_caller_is_cancelled(with_event: bool) -> None:
    """A cancel from outside passes through, also where the event is set in the same moment."""
    event = asyncio.Event()
    caller = asyncio.create_task(cancel_on(asyncio.sleep(3600), event))
    await asyncio.sleep(0)
    if with_event:
        event.set()
    caller.cancel()

    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_the_inner_of_two_leaves_the_outer_event_alone() -> None:
    """Nested, each reacts to its own events: what ends the outer work is no result of the inner one."""
    inner, outer, reached = asyncio.Event(), asyncio.Event(), []

    async def work() -> str:
        await cancel_on(asyncio.sleep(3600), inner)
        reached.append(True)
        return "continued"

    asyncio.get_running_loop().call_soon(outer.set)
    assert await cancel_on(work(), outer) is None
    assert [] == reached

    outer.clear()
    asyncio.get_running_loop().call_soon(inner.set)
    assert "continued" == await cancel_on(work(), outer)


async def test_waiting_for_an_event_ends_with_it_or_with_the_time() -> None:
    """The result says whether one of the events is set."""
    event = asyncio.Event()

    assert not await wait_for_event(event, asyncio.Event(), seconds=0.001)
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait_for_event(asyncio.Event(), event, seconds=3600)
    assert await wait_for_event(event, seconds=0)


async def test_shielded_work_ends_before_its_caller_is_cancelled() -> None:
    """The cancel is raised once the work has ended, however often it came."""
    gate, ended = asyncio.Event(), []

    async def work() -> None:
        await gate.wait()
        ended.append(True)

    caller = asyncio.create_task(shielded(work()))
    for _ in range(2):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    gate.set()

    with pytest.raises(asyncio.CancelledError):
        await caller
    assert [True] == ended


async def test_cancelled_tasks_have_ended() -> None:
    """What they raise while they end is dropped."""
    ended = []

    async def work() -> None:
        try:
            await asyncio.Future()
        finally:
            ended.append(True)
            raise ZeroDivisionError

    tasks = [asyncio.create_task(work()) for _ in range(2)]
    await asyncio.sleep(0)
    await cancel_and_wait(tasks)

    assert [True, True] == ended
