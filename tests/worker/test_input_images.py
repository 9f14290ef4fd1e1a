"""The images that an edit starts from, between the blob store and the engine."""

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray
from PIL import Image

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import BlobStoreError
from pipelet.domain.generation.image import InputImage
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.outcome import FailureKind
from pipelet.domain.jobs.progress import Progress
from pipelet.worker.images.input_images import load_input_images
from tests.support.backends.gradient import gradient_image, show
from tests.support.images import details
from tests.support.jobs import make_job, make_spec
from tests.support.waiting import until
from tests.worker.conftest import WorkerHarness

_random = np.random.default_rng(3)
FIRST, SECOND = (_random.integers(0, 256, shape, np.uint8) for shape in [(40, 60, 3), (64, 32, 3)])


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


async def kept(blobs: DiskBlobStore, *images: NDArray[np.uint8]) -> tuple[InputImage, ...]:
    """As if they had come with a request."""
    input_images = []
    for number, pixels in enumerate(images):
        key = f"inputs/{number}.png"
        await blobs.put(key, png(pixels), "image/png")
        input_images.append(InputImage(key=key, width=pixels.shape[1], height=pixels.shape[0]))
    return tuple(input_images)


async def submitted(harness: WorkerHarness, input_images: tuple[InputImage, ...], **changes: Any) -> Job:
    job = make_job(submitted_at=time.time(), input_images=input_images, **changes)
    await harness.store.files.reserve_input_files(job.id, [each.key for each in input_images], time.time() + 900)
    return await harness.store.jobs.submit(job)


async def test_an_edit_is_generated_from_its_input_images_in_their_order(harness: WorkerHarness) -> None:
    """In every part of a batch; the one task more is done, and the files say how many there were."""
    input_images = await kept(harness.blobs, FIRST, SECOND)
    async with harness.worker(max_input_images=2, max_megapixels_per_batch=0.03):
        done = await harness.ended(await submitted(harness, input_images, batch_size=3))

    assert JobState.SUCCEEDED == done.state
    assert 3 == len(done.images)
    for number, image in enumerate(done.images):
        expected = gradient_image(done.spec, done.spec.seed + number)
        show([FIRST, SECOND], expected)
        with Image.open(harness.files / image.key) as file:
            np.testing.assert_array_equal(expected, np.asarray(file))
            assert 2 == details(file)["references"]
    assert Progress(26, 26) == done.progress


async def test_an_image_that_generation_starts_from_has_the_generated_size(harness: WorkerHarness) -> None:
    """Placed so that it is seen whole in what was asked for, and edited in fewer steps."""
    input_images = await kept(harness.blobs, SECOND)
    fields: dict[str, Any] = {"max_input_images": 1, "strength": 0.5, "native_sizes": ("64x64",)}
    async with harness.worker(**fields):
        done = await harness.ended(await submitted(harness, input_images, width=32, height=64, num_inference_steps=8))

    assert Progress(4 + 5, 4 + 5) == done.progress
    with Image.open(harness.files / done.images[0].key) as file:
        # The backend shows what it got in the upper half: squeezed, but in its rows.
        assert (32, 64) == file.size
        assert 0.5 == details(file)["strength"]
    (shown,) = await load_input_images(
        plan_generation(done.spec, ModelConfig(name="m", source="", **fields)), harness.blobs
    )
    np.testing.assert_array_equal(SECOND, np.asarray(shown)[:, 16:48])


async def test_large_images_arrive_no_larger_than_a_model_reads(harness: WorkerHarness) -> None:
    """Several megapixels become one, of the same shape; what is smaller is not touched."""
    large = np.zeros((1200, 2400, 3), np.uint8)
    input_images = await kept(harness.blobs, large, FIRST)
    model = ModelConfig(name="m", source="", max_input_images=2)

    one, other = await load_input_images(plan_generation(make_spec(input_images=input_images), model), harness.blobs)

    assert (724, 1448, 3) == one.shape
    np.testing.assert_array_equal(FIRST, np.asarray(other))


async def test_a_model_of_one_size_gets_each_image_at_that_size(harness: WorkerHarness) -> None:
    """Whole, in the middle, on the colour of its border; the shape of what is generated does not matter."""
    on_green = np.full((128, 512, 3), (20, 200, 40), np.uint8)
    on_green[32:96, 192:320] = 255
    input_images = await kept(harness.blobs, on_green, FIRST)
    model = ModelConfig(name="m", source="", max_input_images=2, size_multiple=64, input_image_size="128x128")

    wide, other = map(
        np.asarray,
        await load_input_images(plan_generation(make_spec(input_images=input_images), model), harness.blobs),
    )

    assert (128, 128, 3) == wide.shape == other.shape
    assert {(20, 200, 40)} == {tuple(map(int, pixel)) for pixel in wide[[0, 47, 80, 127]].reshape(-1, 3)}
    assert (255, 255, 255) == tuple(wide[64, 64])


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (None, "Input image 2 of the request is no longer stored"),
        (b"", "Input image 2 of the request is damaged"),
        (png(SECOND)[:700], "Input image 2 of the request is damaged"),
        (png(SECOND).replace(b"IDAT", b"IDOT"), "Input image 2 of the request is damaged"),
    ],
    ids=["gone", "empty", "cut off", "broken"],
)
async def test_a_lost_image_fails_its_request_alone(harness: WorkerHarness, file: bytes | None, complaint: str) -> None:
    """With an error of its own that says which image; the next request is generated."""
    input_images = await kept(harness.blobs, FIRST, SECOND)
    if file is None:
        await harness.blobs.delete(input_images[1].key)
    else:
        await harness.blobs.put(input_images[1].key, file, "image/png")
    async with harness.worker(max_input_images=2):
        lost = await harness.ended(await submitted(harness, input_images))
        done = await harness.ended(await submitted(harness, ()))

    assert lost.failure is not None
    assert (JobState.FAILED, 1, FailureKind.INPUT_IMAGE_LOST) == (lost.state, lost.attempt, lost.failure.kind)
    assert complaint in lost.failure.message
    assert JobState.SUCCEEDED == done.state


class AwayForAWhile(DiskBlobStore):
    """Stores, and does not read until it is back."""

    is_back = False
    asked = 0

    async def get(self, key: str) -> bytes:
        self.asked += 1
        if not self.is_back:
            raise BlobStoreError("The disk is away.")
        return await super().get(key)


async def test_a_store_that_is_away_delays_an_edit(harness: WorkerHarness, tmp_path: Path) -> None:
    """Longer than a lease takes to run out: it stays ours, and ends well in its first attempt."""
    blobs = AwayForAWhile(harness.files, signing_key=b"k", url_ttl_seconds=60)
    input_images = await kept(blobs, FIRST)
    with structlog.testing.capture_logs() as logs:
        async with harness.worker(blobs=blobs, lease_seconds=0.5, max_input_images=1):
            job = await submitted(harness, input_images)
            await until(lambda: blobs.asked >= 3)
            blobs.is_back = True
            done = await harness.ended(job)

    assert (JobState.SUCCEEDED, 1) == (done.state, done.attempt)
    assert 1 == sum((entry["event"], entry.get("operation")) == ("storage.retrying", "reading") for entry in logs)
