"""Cancels of what runs, with real engine processes."""

import time
from dataclasses import replace

from PIL import Image

from pipelet.domain.jobs.job import CancelResult, Job, JobState
from pipelet.domain.jobs.outcome import FailureKind
from tests.support.jobs import make_job
from tests.worker.conftest import WorkerHarness


def job_now(**changes: object) -> Job:
    return make_job(submitted_at=time.time(), **changes)  # type: ignore[arg-type]


async def test_a_cancelled_request_frees_the_engine_within_a_step(workshop: WorkerHarness) -> None:
    """Long before it would have been done; the next request is drawn by the same engine process."""
    async with workshop.worker():
        long = await workshop.store.jobs.submit(job_now(prompt="sleep=0.1", num_inference_steps=100))
        behind = await workshop.store.jobs.submit(job_now())
        await workshop.tasks_done(long, 3)
        [engine] = workshop.engines
        pid = engine.pid
        asked = time.monotonic()

        answers = [await workshop.store.jobs.cancel(long.id, time.time(), running=True) for _ in range(2)]
        ended = await workshop.ended(long)
        drawn = await workshop.ended(behind)

        assert time.monotonic() - asked < 5
        assert pid == engine.pid
    assert [CancelResult.STOPPING] * 2 == answers
    assert (JobState.CANCELLED, FailureKind.CANCELLED, 1) == (
        ended.state,
        ended.failure and ended.failure.kind,
        ended.attempt,
    )
    assert () == ended.images
    assert JobState.SUCCEEDED == drawn.state
    assert {image.key for image in drawn.images} == workshop.stored()


async def test_what_was_finished_is_kept(workshop: WorkerHarness) -> None:
    """Of a batch that is drawn in parts, the parts before the cancel; each file is whole, and known with its seed."""
    async with workshop.worker(max_megapixels_per_batch=96 * 64 / 1e6):
        job = await workshop.store.jobs.submit(job_now(prompt="sleep=0.04", batch_size=9))
        await workshop.tasks_done(job, 2 * 12 + 2)
        await workshop.store.jobs.cancel(job.id, time.time(), running=True)
        ended = await workshop.ended(job)

    assert JobState.CANCELLED == ended.state
    assert 2 <= len(ended.images) < 9
    assert [42 + k for k in range(len(ended.images))] == [image.seed for image in ended.images]
    assert {image.key for image in ended.images} == workshop.stored()
    for image in ended.images:
        with Image.open(workshop.files / image.key) as file:
            file.load()
    assert f"{len(ended.images)} image(s) were finished" in (await workshop.store.jobs.log(ended))[-1].message


async def test_another_request_is_not_touched(workshop: WorkerHarness) -> None:
    """A cancel stops the request that it names, also where its worker is recording another."""
    async with workshop.worker():
        first = await workshop.store.jobs.submit(job_now(prompt="a"))
        second = await workshop.store.jobs.submit(job_now(prompt="sleep=0.1", num_inference_steps=100))
        third = await workshop.store.jobs.submit(job_now(prompt="b"))
        await workshop.tasks_done(second, 1)
        await workshop.store.jobs.cancel(second.id, time.time(), running=True)

        states = [(await workshop.ended(job)).state for job in (first, second, third)]

    assert [JobState.SUCCEEDED, JobState.CANCELLED, JobState.SUCCEEDED] == states


async def test_an_input_that_is_not_kept_is_not_in_the_file_either(workshop: WorkerHarness) -> None:
    """Its story leaves out what was asked for, and tells the rest."""
    words = job_now(prompt="a secret", negative_prompt="another")
    async with workshop.worker():
        done = await workshop.ended(await workshop.store.jobs.submit(replace(words, store_input=False)))

    data = (workshop.files / done.images[0].key).read_bytes()
    assert b"secret" not in data
    assert b"another" not in data
    assert done.id.encode() in data
