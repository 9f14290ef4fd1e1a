"""The engine process: it starts, generates, fails and starts again."""

import asyncio
import os
import signal

import numpy as np
import pytest

from pipelet.domain.errors import (
    EngineDied,
    EngineTimeout,
    GenerationFailed,
    InvalidInput,
    ModelLoadError,
    OutOfMemory,
)
from tests.engine.calls import EngineOf, MakePart, generated, ignore, is_alive
from tests.support.backends.gradient import gradient_image
from tests.support.waiting import until


def open_files():
    return len(os.listdir("/proc/self/fd"))


async def test_start_tells_what_was_loaded(cold_engine_of: EngineOf) -> None:
    """start returns model, device and load time; a second start of a running engine changes nothing."""
    async with cold_engine_of("gradient:Gradient") as engine:
        assert not engine.is_running
        info = await engine.start()
        pid = engine.pid

        assert ("zoo", "cpu") == (info.model, info.device)
        assert info == await engine.start()
        assert pid == engine.pid
        assert engine.is_running


async def test_progress_counts_every_task(engine_of: EngineOf, make_part: MakePart) -> None:
    """on_progress is called for the encoded prompt, each step and the decoding, once each and in order."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        reported: list[int] = []

        await engine.generate(make_part(num_inference_steps=5), reported.append)

        assert [1, 2, 3, 4, 5, 6, 7] == reported


async def test_prompts_may_hold_anything(engine_of: EngineOf, make_part: MakePart) -> None:
    """Line ends, NUL, lone surrogates and a megabyte of text reach the backend as they are."""
    prompt = 'a\r\nb\x00\ud800 "quoted" \u2028 狐狸' + "x" * 1_000_000
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()

        pixels = await generated(engine, make_part(prompt))

        np.testing.assert_array_equal(gradient_image(make_part(prompt).spec, 7), pixels[0])


@pytest.mark.parametrize(
    ("backend", "error", "words", "stderr_tail"),
    [
        ("while_generating.exits", EngineDied, "exited with code 7", "I have had enough"),
        ("while_generating.killed", EngineDied, "ran out of memory", ""),
        ("cannot_go_on", EngineDied, "exited with code 1", "The device is in a bad state"),
        ("while_generating.raises", GenerationFailed, "ZeroDivisionError: steps / 0", ""),
        ("out_of_memory", OutOfMemory, "MemoryError", ""),
    ],
)
async def test_a_generation_that_ends_badly(
    engine_of: EngineOf, make_part: MakePart, backend: str, error, words: str, stderr_tail: str
) -> None:
    """The error says what happened, what was printed stands apart, and after start the next image is right."""
    async with engine_of(f"{backend}:Backend") as engine:
        await engine.start()
        pid = engine.pid

        with pytest.raises(error, match=words) as caught:
            await engine.generate(make_part("please misbehave"), ignore)

        assert error is type(caught.value)
        assert stderr_tail in caught.value.stderr_tail
        assert not stderr_tail or stderr_tail not in str(caught.value)
        assert engine.is_running == (error is not EngineDied)
        assert is_alive(pid) == engine.is_running
        await engine.start()
        np.testing.assert_array_equal(gradient_image(make_part().spec, 7), (await generated(engine, make_part()))[0])


async def test_a_refusal_carries_the_backends_words(engine_of: EngineOf, make_part: MakePart) -> None:
    """InvalidInput passes from the child to the caller unchanged, and the process stays."""
    async with engine_of("while_generating.raises:Backend") as engine:
        await engine.start()

        with pytest.raises(InvalidInput, match=r"^No pictures of this: refuse$"):
            await engine.generate(make_part("refuse"), ignore)

        assert engine.is_running


async def test_a_generation_that_hangs_is_ended(engine_of: EngineOf, make_part: MakePart) -> None:
    """Without progress within the stall limit the process is killed, and a new one generates."""
    async with engine_of("while_generating.hangs:Backend", stall_timeout=0.3) as engine:
        await engine.start()
        pid = engine.pid

        with pytest.raises(EngineTimeout, match=r"no progress for 0\.3 s"):
            await engine.generate(make_part("please hang"), ignore)

        assert not is_alive(pid)
        assert not engine.is_running
        await engine.start()
        assert (await generated(engine, make_part())).any()


async def test_slow_progress_is_not_a_stall(engine_of: EngineOf, make_part: MakePart) -> None:
    """The stall limit is counted from task to task, not over the whole generation."""
    async with engine_of("gradient:Gradient", stall_timeout=0.5) as engine:
        await engine.start()

        result = await engine.generate(make_part("sleep=0.1", num_inference_steps=8), ignore)

        assert result.seconds > 0.5


async def test_a_stalled_process_takes_its_own_children_along(engine_of: EngineOf, make_part: MakePart) -> None:
    """Killing the process kills what it started, too."""
    async with engine_of("has_children:Backend", stall_timeout=0.3) as engine:
        await engine.start()
        pids: list[int] = []

        with pytest.raises(EngineTimeout):
            await engine.generate(make_part(), pids.append)

        # It may not be collected, and remain as a zombie: that holds no memory and no files.
        await until(lambda: not is_alive(pids[0]) or _is_zombie(pids[0]))


def _is_zombie(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("backend", "error", "words", "stderr_tail"),
    [
        ("while_loading.raises:Backend", ModelLoadError, "The model zoo cannot be loaded: KeyError: 'weights'", ""),
        ("while_loading.exits:Backend", EngineDied, "exited with code 1", "no such device"),
        ("while_loading.hangs:Backend", EngineTimeout, "did not load within 1.5 s", "fetching weights"),
        ("missing:Backend", ModelLoadError, "No module named 'tests.support.backends.missing'", ""),
    ],
)
async def test_a_model_that_cannot_be_loaded(
    engine_of: EngineOf, make_part: MakePart, backend: str, error, words: str, stderr_tail: str
) -> None:
    """start raises with the reason, leaves no process, and generating then says that the engine is not running."""
    async with engine_of(backend, load_timeout=1.5) as engine:
        with pytest.raises(error, match=words) as caught:
            await engine.start()

        assert stderr_tail in getattr(caught.value, "stderr_tail", "")
        assert not engine.is_running
        with pytest.raises(EngineDied, match="is not running"):
            await engine.generate(make_part(), ignore)


async def test_what_a_library_prints_does_not_disturb(cold_engine_of: EngineOf, make_part: MakePart) -> None:
    """Messages on stdout, endless progress bars and broken text on stderr change nothing."""
    async with cold_engine_of("prints_to_stdout:Backend") as engine:
        await engine.start()

        pixels = await generated(engine, make_part())

        np.testing.assert_array_equal(gradient_image(make_part().spec, 7), pixels[0])


async def test_a_process_that_dies_while_idle_is_noticed(engine_of: EngineOf, make_part: MakePart) -> None:
    """is_running becomes false by itself, and the next generation says how the process ended."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()

        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSEGV)

        await until(lambda: not engine.is_running)
        with pytest.raises(EngineDied, match="SIGSEGV"):
            await engine.generate(make_part(), ignore)
        await engine.start()
        assert (await generated(engine, make_part())).any()


async def test_deaths_leak_neither_files_nor_processes(cold_engine_of: EngineOf, make_part: MakePart) -> None:
    """After many deaths this process has as many open files as after the first."""
    async with cold_engine_of("while_generating.killed:Backend") as engine:
        files = []
        for _ in range(6):
            await engine.start()
            with pytest.raises(EngineDied):
                await engine.generate(make_part("please die"), ignore)
            await engine.stop()
            files.append(open_files())

        await until(lambda: open_files() <= files[0])


async def test_two_generations_at_once_take_turns(engine_of: EngineOf, make_part: MakePart) -> None:
    """Concurrent generations are served one after the other, each with its own pixels."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()

        images = await asyncio.gather(*(generated(engine, make_part("sleep=0.01", seed=seed)) for seed in range(5)))

        for seed, pixels in enumerate(images):
            np.testing.assert_array_equal(gradient_image(make_part("sleep=0.01").spec, seed), pixels[0])
