"""Previews from the engine process: when they are made, and what arrives."""

import itertools
import time

import numpy as np

from pipelet.domain.generation.preview import INTERVAL, PreviewPixels
from tests.engine.calls import EngineOf, MakePart, generated, ignore
from tests.support.backends.previewing import preview_pixels

BACKEND = "previewing:Previewing"


async def test_previews_are_made_only_where_they_are_requested(engine_of: EngineOf, make_part: MakePart) -> None:
    """Of the named job, whether it generates already or not, and until the time is over; its images are the same."""
    made: list[PreviewPixels] = []
    async with engine_of(BACKEND) as engine:
        await engine.start()
        part = make_part("sleep=0.02", num_inference_steps=10)
        plain = await generated(engine, part)
        engine.request_previews("another", 60)
        await engine.generate(part, ignore, made.append)
        assert [] == made

        engine.request_previews(part.job_id, 60)
        watched = await engine.generate(part, ignore, made.append)
        assert [1] == [each.step for each in made]
        np.testing.assert_array_equal(plain, watched.pixels)
        watched.release()

        engine.request_previews(part.job_id, 0)
        await engine.generate(make_part("sleep=0.06", num_inference_steps=10), ignore, made.append)
        assert 1 == len(made)


async def test_a_request_reaches_a_generation_under_way(engine_of: EngineOf, make_part: MakePart) -> None:
    """Previews come at most twice a second, of each image in turn, pixel for pixel."""
    made: list[PreviewPixels] = []
    times: list[float] = []
    async with engine_of(BACKEND) as engine:
        await engine.start()
        part = make_part("sleep=0.05", first=2, count=2, num_inference_steps=24)

        def on_progress(done: int) -> None:
            if done == 4:
                engine.request_previews(part.job_id, 60)

        def on_preview(preview: PreviewPixels) -> None:
            made.append(preview)
            times.append(time.monotonic())

        await engine.generate(part, on_progress, on_preview)

    assert [2, 3] == [each.index for each in made][:2]
    assert made[0].step >= 3
    assert all(later - earlier > INTERVAL * 0.8 for earlier, later in itertools.pairwise(times))
    for each in made:
        np.testing.assert_array_equal(preview_pixels(each.index, each.step), each.pixels)


async def test_a_backend_may_know_of_no_previews(engine_of: EngineOf, make_part: MakePart) -> None:
    """One that has no argument for them generates as always."""
    made: list[PreviewPixels] = []
    async with engine_of("gradient:Gradient") as engine:
        await engine.start()
        part = make_part(num_inference_steps=8)
        engine.request_previews(part.job_id, 60)
        assert (1, 64, 64, 3) == (await engine.generate(part, ignore, made.append)).pixels.shape
    assert [] == made
