"""Cancelled calls of the engine, and its stop."""

import asyncio
import os
import time

import numpy as np
import pytest

from pipelet.domain.errors import EngineError
from tests.engine.calls import EngineOf, MakePart, generated, ignore, is_alive
from tests.support.backends.gradient import gradient_image
from tests.support.waiting import until


async def test_cancelling_stops_within_a_step(engine_of: EngineOf, make_part: MakePart) -> None:
    """A cancelled generation stops at its next step, the process stays, and the next image is right."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        pid, under_way = engine.pid, asyncio.Event()
        part = make_part("sleep=0.1", num_inference_steps=100)
        generating = asyncio.create_task(engine.generate(part, lambda done: under_way.set()))
        await under_way.wait()

        began = time.monotonic()
        generating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await generating

        assert time.monotonic() - began < 1.0
        assert (pid, True) == (engine.pid, engine.is_running)
        np.testing.assert_array_equal(gradient_image(make_part().spec, 7), (await generated(engine, make_part()))[0])


async def test_cancelling_twice_still_waits_for_the_child(engine_of: EngineOf, make_part: MakePart) -> None:
    """However often it is cancelled, generate returns when the child has stopped."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        under_way = asyncio.Event()
        part = make_part("sleep=0.3", num_inference_steps=100)
        generating = asyncio.create_task(engine.generate(part, lambda done: under_way.set()))
        await under_way.wait()

        for _ in range(3):
            generating.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await generating

        np.testing.assert_array_equal(gradient_image(make_part().spec, 7), (await generated(engine, make_part()))[0])


async def test_a_child_that_ignores_cancel_is_ended(engine_of: EngineOf, make_part: MakePart) -> None:
    """Where the generation does not stop within the stall limit, its process is killed."""
    async with engine_of("ignores_cancel:Backend", stall_timeout=0.3) as engine:
        await engine.start()
        pid, under_way = engine.pid, asyncio.Event()
        part = make_part("sleep=0.1", num_inference_steps=100)
        generating = asyncio.create_task(engine.generate(part, lambda done: under_way.set()))
        await under_way.wait()

        generating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await generating

        assert not engine.is_running
        assert not is_alive(pid)


async def test_cancelling_at_any_moment_leaves_the_engine_usable(engine_of: EngineOf, make_part: MakePart) -> None:
    """Wherever a cancel hits a generation, the images after it are right."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        for microseconds in range(0, 4000, 200):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(microseconds / 1e6):
                    await engine.generate(make_part("sleep=0.001", num_inference_steps=20), ignore)
            part = make_part(seed=microseconds)
            np.testing.assert_array_equal(gradient_image(part.spec, microseconds), (await generated(engine, part))[0])


async def test_an_error_in_on_progress_stops_the_generation(engine_of: EngineOf, make_part: MakePart) -> None:
    """What on_progress raises reaches the caller, and the engine is ready for the next."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()

        with pytest.raises(LookupError, match="the lease was lost"):
            await engine.generate(make_part("sleep=0.05", num_inference_steps=100), _lose_lease)

        np.testing.assert_array_equal(gradient_image(make_part().spec, 7), (await generated(engine, make_part()))[0])


def _lose_lease(done):
    raise LookupError("the lease was lost")


async def test_stop_ends_the_process_and_can_be_repeated(engine_of: EngineOf, make_part: MakePart) -> None:
    """After stop the process is gone; stopping again is fine, and start works again."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.stop()
        await engine.start()
        pid = engine.pid

        await engine.stop()
        await engine.stop()

        assert not is_alive(pid)
        await engine.start()
        assert (await generated(engine, make_part())).any()


async def test_stop_while_generating_ends_the_generation(engine_of: EngineOf, make_part: MakePart) -> None:
    """A generation that is under way when the engine is stopped ends as EngineDied, at once."""
    async with engine_of("while_generating.hangs:Backend") as engine:
        await engine.start()
        under_way = asyncio.Event()
        generating = asyncio.create_task(engine.generate(make_part("please hang"), lambda done: under_way.set()))
        await under_way.wait()

        await engine.stop()

        with pytest.raises(EngineError):
            await asyncio.wait_for(generating, 2)


async def test_a_cancelled_start_leaves_no_process(engine_of: EngineOf) -> None:
    """Giving up on a model that loads forever ends its process."""
    async with engine_of("while_loading.hangs:Backend") as engine:
        starting = asyncio.create_task(engine.start())
        await until(lambda: engine.pid is not None)
        pid = engine.pid

        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

        assert not is_alive(pid)
        assert not engine.is_running


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.01, 0.03, 0.1, 0.3])
async def test_a_start_that_is_cancelled_leaves_nothing_behind(
    cold_engine_of: EngineOf, make_part: MakePart, moment: float
) -> None:
    """Whenever the start is given up, no process and no socket is left, and the next start works."""
    async with cold_engine_of("gradient:Gradient") as engine:
        before = descriptors()
        starting = asyncio.create_task(engine.start())
        await asyncio.wait([starting], timeout=moment)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await engine.stop()
        await asyncio.sleep(0)

        await until(lambda: descriptors() <= before)
        assert not children_of_this_process()
        await engine.start()
        assert engine.is_running


def descriptors():
    return set(os.listdir("/proc/self/fd"))


def children_of_this_process():
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        pids = children.read().split()
    return [pid for pid in pids if "pipelet.engine.child" in _command(pid)]


def _command(pid):
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()
