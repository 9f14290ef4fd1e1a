"""Pixels between the engine process and its parent, through shared memory."""

import asyncio

import numpy as np
import pytest

from pipelet.domain.errors import EngineDied
from tests.engine.calls import EngineOf, MakePart, generated, ignore
from tests.support.backends.gradient import gradient_image, show


async def test_generates_the_images_of_a_part_in_order(engine_of: EngineOf, make_part: MakePart) -> None:
    """A part's pixels are its images, each of seed + k, in a read-only view of the promised shape."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        part = make_part(first=1, count=2, width=70, height=50)

        result = await engine.generate(part, ignore)

        assert (2, 50, 70, 3) == result.pixels.shape
        assert result.pixels.readonly
        expected = [gradient_image(part.spec, part.spec.seed + k) for k in (1, 2)]
        np.testing.assert_array_equal(expected, np.asarray(result.pixels))
        assert 0 < result.seconds < 10


async def test_input_images_arrive_in_their_order_pixel_by_pixel(engine_of: EngineOf, make_part: MakePart) -> None:
    """The child sees the images of this generation alone, whatever sizes the one before had, and as they were sent."""
    random = np.random.default_rng(0)
    large, small = (random.integers(0, 256, shape, np.uint8) for shape in [(200, 300, 3), (8, 16, 3)])
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        for input_images in [(large, small), (small, large), (small,), ()]:
            part = make_part(width=96, height=64, count=2, input_images=input_images)

            pixels = await generated(engine, part)

            expected = np.stack([gradient_image(part.spec, part.spec.seed + k) for k in range(2)])
            for image in expected:
                show(input_images, image)
            np.testing.assert_array_equal(expected, pixels)


async def test_unreleased_images_are_never_overwritten(engine_of: EngineOf, make_part: MakePart) -> None:
    """Three parts can be held at once; a fourth generation waits until one is released, twice counts once."""
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
            np.testing.assert_array_equal(gradient_image(make_part().spec, seed), np.asarray(part.pixels)[0])
        held[1].release()
        assert (await fifth).pixels.shape == (1, 64, 64, 3)


async def test_a_held_image_outlives_its_process(engine_of: EngineOf, make_part: MakePart) -> None:
    """Pixels stay readable and unchanged after the process died and another one generated."""
    async with engine_of("while_generating.killed:Backend") as engine:
        await engine.start()
        held = await engine.generate(make_part(seed=1), ignore)
        with pytest.raises(EngineDied):
            await engine.generate(make_part("please die"), ignore)
        await engine.start()
        for seed in range(2, 8):
            await generated(engine, make_part(seed=seed))

        np.testing.assert_array_equal(gradient_image(make_part().spec, 1), np.asarray(held.pixels)[0])
        held.release()


async def test_sizes_may_change_from_part_to_part(engine_of: EngineOf, make_part: MakePart) -> None:
    """A slot that held a large part serves a small one, and the other way round."""
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        for width, height, count in [(64, 64, 1), (500, 300, 4), (33, 47, 2), (640, 480, 3), (1, 1, 1)] * 2:
            part = make_part(width=width, height=height, count=count)

            pixels = await generated(engine, part)

            assert (count, height, width, 3) == pixels.shape
            np.testing.assert_array_equal(gradient_image(part.spec, 7), pixels[0])
