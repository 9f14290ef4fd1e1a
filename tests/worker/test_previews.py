"""Previews that a worker stores while it generates."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from pipelet.domain.generation.preview import MAX_BYTES, Preview, PreviewPixels
from pipelet.domain.generation.sizes import Size
from pipelet.domain.jobs.job import Job
from pipelet.worker.images.previews import encode_preview
from tests.support.waiting import until
from tests.worker.conftest import WorkerHarness
from tests.worker.jobs import assert_right_images, job_now

BACKEND = "previewing:Previewing"


@pytest.mark.parametrize("watched", ["while it waits", "while it runs"])
async def test_a_watched_request_has_previews_while_it_runs(harness: WorkerHarness, watched: str) -> None:
    """They show each of its images, and are gone with its end; the images are the same."""
    store = harness.store
    async with harness.worker(BACKEND):
        job = await store.jobs.submit(job_now(prompt="sleep=0.1", batch_size=2, num_inference_steps=14))
        if watched == "while it runs":
            await harness.begun(job)
        await store.previews.watch([job.id], time.time() + 60, notify=True)

        async def shown(index: int) -> Preview | None:
            found = (await store.previews.newest([job.id])).get(job.id)
            return found if found is not None and found.index == index else None

        first = await until(lambda: shown(0))
        second = await until(lambda: shown(1))
        assert second.step > first.step
        assert second.made_at > first.made_at
        with Image.open(io.BytesIO(second.image)) as image:
            assert ("WEBP", (24, 16)) == (image.format, image.size)
        assert_right_images(harness, await harness.ended(job))

    assert {} == await store.previews.newest([job.id])


async def test_an_unwatched_request_has_none(harness: WorkerHarness) -> None:
    """Nor has one whose watcher is forgotten."""

    async def ran(job: Job) -> list[Preview]:
        done = await harness.ended(job)
        return [*(await harness.store.previews.newest([done.id])).values()]

    async with harness.worker(BACKEND):
        job = await harness.begun(await harness.store.jobs.submit(job_now(prompt="sleep=0.05")))
        await harness.store.previews.watch([job.id], time.time() - 1, notify=True)
        assert [] == await ran(job)


@pytest.mark.parametrize(
    ("requested", "shown"), [(Size(512, 256), (64, 32)), (Size(500, 300), (53, 32)), (Size(64, 64), (32, 32))]
)
def test_a_preview_is_cropped_as_its_image_will_be(requested: Size, shown: tuple[int, int]) -> None:
    """The model generates at a size of its own, and the request shows a part of it."""
    pixels = np.zeros((32, 64, 3), np.uint8)

    data = encode_preview(PreviewPixels(0, 2, pixels.data), requested)

    assert data is not None
    with Image.open(io.BytesIO(data)) as image:
        assert ("WEBP", shown) == (image.format, image.size)


def test_the_largest_preview_fits_into_an_event() -> None:
    """Noise is what WebP packs worst."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)

    data = encode_preview(PreviewPixels(0, 2, noise.data), Size(1024, 1024))

    assert data is not None
    assert 10_000 < len(data) <= MAX_BYTES
