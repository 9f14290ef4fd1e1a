"""Thumbnails that the worker makes."""

from functools import partial

import numpy as np
from PIL import Image

from pipelet.domain.jobs.job import DeleteResult
from pipelet.services.thumbnails.thumbnails import thumbnail_key
from tests.support.waiting import until
from tests.worker.conftest import WorkerHarness
from tests.worker.jobs import job_now


async def test_an_ended_request_gets_thumbnails(harness: WorkerHarness) -> None:
    """One for each image, at most 320 pixels a side, that show the same; they go with the request, and count as none
    of its tasks."""
    async with harness.worker():
        done = await harness.ended(await harness.store.jobs.submit(job_now(width=1100, height=700, batch_size=3)))
        expected = {thumbnail_key(done.id, number) for number in range(3)}
        await until(lambda: harness.thumbnails() == expected)
        await until(partial(_are_all_confirmed, harness))
        assert done.progress is not None
        assert done.progress.total % 12 == 0

    key = thumbnail_key(done.id, 2)
    with Image.open(harness.files / key) as small, Image.open(harness.files / done.images[2].key) as image:
        assert ("WEBP", (320, 204)) == (small.format, small.size)
        shown = np.asarray(image.convert("RGB").resize(small.size)).astype(int)
        assert np.abs(shown - np.asarray(small.convert("RGB"))).mean() < 6

    deletion = await harness.store.history.delete(done.id, harness.store.clock.now())
    assert DeleteResult.DELETED == deletion.result
    assert expected | {image.key for image in done.images} == set(deletion.orphans)


async def test_no_thumbnail_is_made_while_request_follows_request(harness: WorkerHarness) -> None:
    """It would take the interpreter's lock, and two turns of the database, just when the engine waits for its next
    request."""
    async with harness.worker(quiet_seconds=3600.0):
        jobs = [await harness.store.jobs.submit(job_now()) for _ in range(5)]
        for job in jobs:
            await harness.ended(job)
    assert not harness.thumbnails()


async def _are_all_confirmed(harness: WorkerHarness) -> bool:
    """Whether no file is due to be deleted if its writer does not report."""
    return not await harness.store.files.orphaned(1e12, 10)
