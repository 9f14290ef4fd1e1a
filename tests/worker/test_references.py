"""The pictures that an edit starts from, between the blob store and the engine."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray
from PIL import Image

from pipelet.blobs.disk import DiskBlobs
from pipelet.domain.catalog import Model
from pipelet.domain.errors import BlobsUnusable
from pipelet.domain.image import Reference
from pipelet.domain.job import Job, State
from pipelet.domain.outcome import FailureKind
from pipelet.domain.progress import Progress
from pipelet.worker.references import load_references
from tests.engine.zoo.gradient import picture, show
from tests.jobs import make_job, make_spec
from tests.pictures import details
from tests.waiting import until
from tests.worker.conftest import Workshop

_random = np.random.default_rng(3)
FIRST, SECOND = (_random.integers(0, 256, shape, np.uint8) for shape in [(40, 60, 3), (64, 32, 3)])


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


async def kept(blobs: DiskBlobs, *pictures: NDArray[np.uint8]) -> tuple[Reference, ...]:
    """As if they had come with a request."""
    references = []
    for number, pixels in enumerate(pictures):
        key = f"inputs/{number}.png"
        await blobs.put(key, png(pixels), "image/png")
        references.append(Reference(key=key, width=pixels.shape[1], height=pixels.shape[0]))
    return tuple(references)


async def submitted(shop: Workshop, references: tuple[Reference, ...], **changes: object) -> Job:
    job = make_job(submitted_at=time.time(), references=references, **changes)
    await shop.store.note_references(job.id, [each.key for each in references], time.time() + 900)
    return await shop.store.submit(job)


async def test_an_edit_is_drawn_from_its_references_in_their_order(workshop: Workshop) -> None:
    """In every part of a batch; the one task more is done, and the files say how many there were."""
    references = await kept(workshop.blobs, FIRST, SECOND)
    async with workshop.worker(max_references=2, megapixels_per_run=0.03):
        done = await workshop.ended(await submitted(workshop, references, batch_size=3))

    assert State.SUCCEEDED == done.state
    assert 3 == len(done.images)
    for number, image in enumerate(done.images):
        expected = picture(done.spec, done.spec.seed + number)
        show([FIRST, SECOND], expected)
        with Image.open(workshop.files / image.key) as file:
            np.testing.assert_array_equal(expected, np.asarray(file))
            assert 2 == details(file)["references"]
    assert Progress(26, 26) == done.progress


async def test_a_picture_that_drawing_begins_as_has_the_size_that_is_drawn(workshop: Workshop) -> None:
    """Placed so that it is seen whole in what was asked for, and drawn over in fewer steps."""
    references = await kept(workshop.blobs, SECOND)
    fields = {"max_references": 1, "strength": 0.5, "native_sizes": ("64x64",)}
    async with workshop.worker(**fields):
        done = await workshop.ended(await submitted(workshop, references, width=32, height=64, num_inference_steps=8))

    assert Progress(4 + 5, 4 + 5) == done.progress
    with Image.open(workshop.files / done.images[0].key) as file:
        # The zoo's painter shows what it got in the upper half: squeezed, but in its rows.
        assert (32, 64) == file.size
        assert 0.5 == details(file)["strength"]
    (shown,) = await load_references(done.spec, Model(name="m", source="", **fields), workshop.blobs, request_id="r")
    np.testing.assert_array_equal(SECOND, np.asarray(shown)[:, 16:48])


async def test_large_pictures_arrive_no_larger_than_a_model_looks(workshop: Workshop) -> None:
    """Several megapixels become one, of the same shape; what is smaller is not touched."""
    large = np.zeros((1200, 2400, 3), np.uint8)
    references = await kept(workshop.blobs, large, FIRST)
    model = Model(name="m", source="", max_references=2)

    one, other = await load_references(make_spec(references=references), model, workshop.blobs, request_id="r")

    assert (724, 1448, 3) == one.shape
    np.testing.assert_array_equal(FIRST, np.asarray(other))


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (None, "Picture 2 of the request is not kept any more"),
        (b"", "Picture 2 of the request was damaged"),
        (png(SECOND)[:700], "Picture 2 of the request was damaged"),
        (png(SECOND).replace(b"IDAT", b"IDOT"), "Picture 2 of the request was damaged"),
    ],
    ids=["gone", "empty", "cut off", "broken"],
)
async def test_a_lost_picture_fails_its_request_alone(workshop: Workshop, file: bytes | None, complaint: str) -> None:
    """With an error of its own that says which picture; the next request is drawn."""
    references = await kept(workshop.blobs, FIRST, SECOND)
    if file is None:
        await workshop.blobs.delete(references[1].key)
    else:
        await workshop.blobs.put(references[1].key, file, "image/png")
    async with workshop.worker(max_references=2):
        lost = await workshop.ended(await submitted(workshop, references))
        done = await workshop.ended(await submitted(workshop, ()))

    assert lost.failure is not None
    assert (State.FAILED, 1, FailureKind.REFERENCE_LOST) == (lost.state, lost.attempt, lost.failure.kind)
    assert complaint in lost.failure.message
    assert State.SUCCEEDED == done.state


class AwayForAWhile(DiskBlobs):
    """Stores, and does not read until it is back."""

    is_back = False
    asked = 0

    async def get(self, key: str) -> bytes:
        self.asked += 1
        if not self.is_back:
            raise BlobsUnusable("The disk is away.")
        return await super().get(key)


async def test_a_store_that_is_away_delays_an_edit(workshop: Workshop, tmp_path: Path) -> None:
    """Longer than a lease takes to run out: it stays ours, and ends well in its first attempt."""
    blobs = AwayForAWhile(workshop.files, signing_key=b"k", url_seconds=60)
    references = await kept(blobs, FIRST)
    with structlog.testing.capture_logs() as logs:
        async with workshop.worker(blobs=blobs, lease_seconds=0.5, max_references=1):
            job = await submitted(workshop, references)
            await until(lambda: blobs.asked >= 3)
            blobs.is_back = True
            done = await workshop.ended(job)

    assert (State.SUCCEEDED, 1) == (done.state, done.attempt)
    assert 1 == sum(entry["event"] == "reading.delayed" for entry in logs)
