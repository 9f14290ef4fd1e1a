import asyncio
import os
import signal
import time

import numpy as np
import pytest
from tests.support.backends.gradient import picture, show
from tests.support.waiting import until

from pipelet.domain.errors import (
    EngineDied,
    EngineError,
    EngineTimeout,
    GenerationFailed,
    InvalidInput,
    ModelLoadError,
    OutOfMemory,
)


def ignore(_):
    pass


async def drawn(engine, part):
    """The pixels, copied, and the slot released."""
    result = await engine.generate(part, ignore)
    pixels = np.array(result.pixels)
    result.release()
    return pixels


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def open_files():
    return len(os.listdir("/proc/self/fd"))


async def test_draws_the_images_of_a_part_in_order(engine_of, make_part):
    """A part's pixels are its images, each of seed + k, in a read-only view of the promised shape."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        part = make_part(first=1, count=2, width=70, height=50)

        result = await engine.generate(part, ignore)

        assert (2, 50, 70, 3) == result.pixels.shape
        assert result.pixels.readonly
        expected = [picture(part.spec, part.spec.seed + k) for k in (1, 2)]
        np.testing.assert_array_equal(expected, np.asarray(result.pixels))
        assert 0 < result.seconds < 10


async def test_references_arrive_in_their_order_pixel_by_pixel(engine_of, make_part):
    """The child sees the pictures of this drawing alone, whatever sizes the one before had, and as they were sent."""
    random = np.random.default_rng(0)
    large, small = (random.integers(0, 256, shape, np.uint8) for shape in [(200, 300, 3), (8, 16, 3)])
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        for input_images in [(large, small), (small, large), (small,), ()]:
            part = make_part(width=96, height=64, count=2, input_images=input_images)

            pixels = await drawn(engine, part)

            expected = np.stack([picture(part.spec, part.spec.seed + k) for k in range(2)])
            for image in expected:
                show(input_images, image)
            np.testing.assert_array_equal(expected, pixels)


async def test_start_tells_what_was_loaded(engine_of):
    """start answers model, device and load time; a second start of a running engine changes nothing."""
    async with engine_of("gradient:Gradient") as engine:
        assert not engine.is_running
        info = await engine.start()
        pid = engine.pid

        assert ("zoo", "cpu") == (info.model, info.device)
        assert info == await engine.start()
        assert pid == engine.pid
        assert engine.is_running


async def test_progress_counts_every_task(engine_of, make_part):
    """on_progress hears of the encoded prompt, each step and the decoding, once each and in order."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        heard = []

        await engine.generate(make_part(num_inference_steps=5), heard.append)

        assert [1, 2, 3, 4, 5, 6, 7] == heard


async def test_prompts_may_hold_anything(engine_of, make_part):
    """Line ends, NUL, lone surrogates and a megabyte of text reach the backend as they are."""
    prompt = 'a\r\nb\x00\ud800 "quoted" \u2028 狐狸' + "x" * 1_000_000
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()

        pixels = await drawn(engine, make_part(prompt))

        np.testing.assert_array_equal(picture(make_part(prompt).spec, 7), pixels[0])


@pytest.mark.parametrize(
    ("animal", "error", "words", "stderr_tail"),
    [
        ("exits_while_drawing", EngineDied, "exited with code 7", "I have had enough"),
        ("killed_while_drawing", EngineDied, "ran out of memory", ""),
        ("cannot_go_on", EngineDied, "exited with code 1", "The device is in a bad state"),
        ("raises_while_drawing", GenerationFailed, "ZeroDivisionError: steps / 0", ""),
        ("out_of_memory", OutOfMemory, "MemoryError", ""),
    ],
)
async def test_a_drawing_that_ends_badly(engine_of, make_part, animal, error, words, stderr_tail):
    """The error says what happened, what was printed stands apart, and after start the next picture is right."""
    async with engine_of(f"{animal}:Backend") as engine:
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
        np.testing.assert_array_equal(picture(make_part().spec, 7), (await drawn(engine, make_part()))[0])


async def test_a_refusal_carries_the_painters_words(engine_of, make_part):
    """InvalidInput passes from the child to the caller unchanged, and the process stays."""
    async with engine_of("raises_while_drawing:Backend") as engine:
        await engine.start()

        with pytest.raises(InvalidInput, match=r"^No pictures of this: refuse$"):
            await engine.generate(make_part("refuse"), ignore)

        assert engine.is_running


async def test_a_drawing_that_hangs_is_ended(engine_of, make_part):
    """Without progress within the stall limit the process is killed, and a new one draws."""
    async with engine_of("hangs_while_drawing:Backend", stall_timeout=0.3) as engine:
        await engine.start()
        pid = engine.pid

        with pytest.raises(EngineTimeout, match=r"no progress for 0\.3 s"):
            await engine.generate(make_part("please hang"), ignore)

        assert not is_alive(pid)
        assert not engine.is_running
        await engine.start()
        assert (await drawn(engine, make_part())).any()


async def test_slow_progress_is_not_a_stall(engine_of, make_part):
    """The stall limit is counted from task to task, not over the whole drawing."""
    async with engine_of("gradient:Gradient", stall_timeout=0.5) as engine:
        await engine.start()

        result = await engine.generate(make_part("sleep=0.1", num_inference_steps=8), ignore)

        assert result.seconds > 0.5


async def test_a_stalled_process_takes_its_own_children_along(engine_of, make_part):
    """Killing the process kills what it started, too."""
    async with engine_of("has_children:Backend", stall_timeout=0.3) as engine:
        await engine.start()
        pids = []

        with pytest.raises(EngineTimeout):
            await engine.generate(make_part(), pids.append)

        # Nobody may be there to collect it, so it can remain as a zombie: that holds no memory and no files.
        await until(lambda: not is_alive(pids[0]) or _is_zombie(pids[0]))


def _is_zombie(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("animal", "error", "words", "stderr_tail"),
    [
        ("raises_while_loading:Backend", ModelLoadError, "The model zoo cannot be loaded: KeyError: 'weights'", ""),
        ("exits_while_loading:Backend", EngineDied, "exited with code 1", "no such device"),
        ("hangs_while_loading:Backend", EngineTimeout, "did not load within 1.5 s", "fetching weights"),
        ("nobody:Backend", ModelLoadError, "No module named 'tests.support.backends.nobody'", ""),
    ],
)
async def test_a_model_that_cannot_be_loaded(engine_of, make_part, animal, error, words, stderr_tail):
    """start raises with the reason, leaves no process, and drawing then says that the engine is not running."""
    async with engine_of(animal, load_timeout=1.5) as engine:
        with pytest.raises(error, match=words) as caught:
            await engine.start()

        assert stderr_tail in getattr(caught.value, "stderr_tail", "")
        assert not engine.is_running
        with pytest.raises(EngineDied, match="is not running"):
            await engine.generate(make_part(), ignore)


async def test_what_a_library_prints_does_not_disturb(engine_of, make_part):
    """Messages on stdout, endless progress bars and broken text on stderr change nothing."""
    async with engine_of("prints_to_stdout:Backend") as engine:
        await engine.start()

        pixels = await drawn(engine, make_part())

        np.testing.assert_array_equal(picture(make_part().spec, 7), pixels[0])


async def test_a_process_that_dies_while_idle_is_noticed(engine_of, make_part):
    """is_running becomes false by itself, and the next drawing says how the process ended."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()

        os.kill(engine.pid, signal.SIGSEGV)

        await until(lambda: not engine.is_running)
        with pytest.raises(EngineDied, match="SIGSEGV"):
            await engine.generate(make_part(), ignore)
        await engine.start()
        assert (await drawn(engine, make_part())).any()


async def test_cancelling_stops_within_a_step(engine_of, make_part):
    """A cancelled drawing stops at its next step, the process stays, and the next picture is right."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        pid, under_way = engine.pid, asyncio.Event()
        part = make_part("sleep=0.1", num_inference_steps=100)
        drawing = asyncio.create_task(engine.generate(part, lambda done: under_way.set()))
        await under_way.wait()

        began = time.monotonic()
        drawing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drawing

        assert time.monotonic() - began < 1.0
        assert (pid, True) == (engine.pid, engine.is_running)
        np.testing.assert_array_equal(picture(make_part().spec, 7), (await drawn(engine, make_part()))[0])


async def test_cancelling_twice_still_waits_for_the_child(engine_of, make_part):
    """However often it is cancelled, draw returns when the child has stopped."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        under_way = asyncio.Event()
        part = make_part("sleep=0.3", num_inference_steps=100)
        drawing = asyncio.create_task(engine.generate(part, lambda done: under_way.set()))
        await under_way.wait()

        for _ in range(3):
            drawing.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await drawing

        np.testing.assert_array_equal(picture(make_part().spec, 7), (await drawn(engine, make_part()))[0])


async def test_a_child_that_ignores_cancel_is_ended(engine_of, make_part):
    """Where the drawing does not stop within the stall limit, its process is killed."""
    async with engine_of("ignores_cancel:Backend", stall_timeout=0.3) as engine:
        await engine.start()
        pid, under_way = engine.pid, asyncio.Event()
        part = make_part("sleep=0.1", num_inference_steps=100)
        drawing = asyncio.create_task(engine.generate(part, lambda done: under_way.set()))
        await under_way.wait()

        drawing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drawing

        assert not engine.is_running
        assert not is_alive(pid)


async def test_cancelling_at_any_moment_leaves_the_engine_usable(engine_of, make_part):
    """Wherever a cancel hits a drawing, the pictures after it are right."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        for microseconds in range(0, 4000, 200):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(microseconds / 1e6):
                    await engine.generate(make_part("sleep=0.001", num_inference_steps=20), ignore)
            part = make_part(seed=microseconds)
            np.testing.assert_array_equal(picture(part.spec, microseconds), (await drawn(engine, part))[0])


async def test_an_error_in_on_task_stops_the_drawing(engine_of, make_part):
    """What on_progress raises reaches the caller, and the engine is ready for the next."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()

        with pytest.raises(LookupError, match="the lease was lost"):
            await engine.generate(make_part("sleep=0.05", num_inference_steps=100), _lose_lease)

        np.testing.assert_array_equal(picture(make_part().spec, 7), (await drawn(engine, make_part()))[0])


def _lose_lease(done):
    raise LookupError("the lease was lost")


async def test_unreleased_pictures_are_never_overwritten(engine_of, make_part):
    """Three parts can be held at once; a fourth drawing waits until one is released, twice counts once."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        held = [await engine.generate(make_part(seed=seed), ignore) for seed in (1, 2, 3)]
        fourth = asyncio.create_task(engine.generate(make_part(seed=4), ignore))
        done, _ = await asyncio.wait({fourth}, timeout=0.2)
        assert not done

        held[0].release()
        held[0].release()
        await fourth
        fifth = asyncio.create_task(engine.generate(make_part(seed=5), ignore))
        done, _ = await asyncio.wait({fifth}, timeout=0.2)
        assert not done

        for seed, part in [(2, held[1]), (3, held[2]), (4, fourth.result())]:
            np.testing.assert_array_equal(picture(make_part().spec, seed), np.asarray(part.pixels)[0])
        held[1].release()
        assert (await fifth).pixels.shape == (1, 64, 64, 3)


async def test_a_held_picture_outlives_its_process(engine_of, make_part):
    """Pixels stay readable and unchanged after the process died and another one drew."""
    async with engine_of("killed_while_drawing:Backend") as engine:
        await engine.start()
        held = await engine.generate(make_part(seed=1), ignore)
        with pytest.raises(EngineDied):
            await engine.generate(make_part("please die"), ignore)
        await engine.start()
        for seed in range(2, 8):
            await drawn(engine, make_part(seed=seed))

        np.testing.assert_array_equal(picture(make_part().spec, 1), np.asarray(held.pixels)[0])
        held.release()


async def test_sizes_may_change_from_part_to_part(engine_of, make_part):
    """A slot that held a large part serves a small one, and the other way round."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        for width, height, count in [(64, 64, 1), (500, 300, 4), (33, 47, 2), (640, 480, 3), (1, 1, 1)] * 2:
            part = make_part(width=width, height=height, count=count)

            pixels = await drawn(engine, part)

            assert (count, height, width, 3) == pixels.shape
            np.testing.assert_array_equal(picture(part.spec, 7), pixels[0])


async def test_deaths_leak_neither_files_nor_processes(engine_of, make_part):
    """After many deaths this process has as many open files as after the first."""
    async with engine_of("killed_while_drawing:Backend") as engine:
        files = []
        for _ in range(6):
            await engine.start()
            with pytest.raises(EngineDied):
                await engine.generate(make_part("please die"), ignore)
            await engine.stop()
            files.append(open_files())

        await until(lambda: open_files() <= files[0])


async def test_stop_ends_the_process_and_can_be_repeated(engine_of, make_part):
    """After stop the process is gone; stopping again is fine, and start works anew."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.stop()
        await engine.start()
        pid = engine.pid

        await engine.stop()
        await engine.stop()

        assert not is_alive(pid)
        await engine.start()
        assert (await drawn(engine, make_part())).any()


async def test_stop_while_drawing_ends_the_drawing(engine_of, make_part):
    """A drawing that is under way when the engine is stopped ends as EngineDied, at once."""
    async with engine_of("hangs_while_drawing:Backend") as engine:
        await engine.start()
        under_way = asyncio.Event()
        drawing = asyncio.create_task(engine.generate(make_part("please hang"), lambda done: under_way.set()))
        await under_way.wait()

        await engine.stop()

        with pytest.raises(EngineError):
            await asyncio.wait_for(drawing, 2)


async def test_a_cancelled_start_leaves_no_process(engine_of):
    """Giving up on a model that loads for ever ends its process."""
    async with engine_of("hangs_while_loading:Backend") as engine:
        starting = asyncio.create_task(engine.start())
        await until(lambda: engine.pid is not None)
        pid = engine.pid

        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

        assert not is_alive(pid)
        assert not engine.is_running


async def test_two_drawings_at_once_take_turns(engine_of, make_part):
    """Concurrent draws are served one after the other, each with its own pixels."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()

        pictures = await asyncio.gather(*(drawn(engine, make_part("sleep=0.01", seed=seed)) for seed in range(5)))

        for seed, pixels in enumerate(pictures):
            np.testing.assert_array_equal(picture(make_part("sleep=0.01").spec, seed), pixels[0])


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.01, 0.03, 0.1, 0.3])
async def test_a_start_that_is_cancelled_leaves_nothing_behind(engine_of, make_part, moment):
    """Whenever the start is given up, no process and no socket is left, and the next start works."""
    async with engine_of("gradient:Gradient") as engine:
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
