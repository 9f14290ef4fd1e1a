"""How a worker stops and drains."""

import asyncio
import time

from pipelet.domain.jobs.job import JobState
from tests.worker.conftest import WorkerHarness
from tests.worker.jobs import assert_right_images, job_now


async def test_stopping_finishes_what_runs(harness: WorkerHarness) -> None:
    """A worker that is told to stop completes its request, claims no other, and is then gone from the list."""
    async with harness.worker():
        running = await harness.store.jobs.submit(job_now(prompt="sleep=0.1"))
        waiting = await harness.store.jobs.submit(job_now(priority=-1))
        await harness.begun(running)

    assert_right_images(harness, await harness.ended(running))
    left = await harness.store.jobs.get(waiting.id)
    assert left is not None
    assert JobState.QUEUED == left.state
    assert [] == await harness.store.workers.live(0)


async def test_what_outlasts_the_grace_time_is_handed_back(harness: WorkerHarness) -> None:
    """A request that cannot end in time goes back to the queue as if it had not begun, and another worker generates
    it."""
    async with harness.worker(grace_seconds=0.1):
        job = await harness.store.jobs.submit(job_now(prompt="sleep=0.2"))
        await harness.begun(job)

    released = await harness.store.jobs.get(job.id)
    assert released is not None
    assert (JobState.QUEUED, 0) == (released.state, released.attempt)
    async with harness.worker(name="w2"):
        assert_right_images(harness, await harness.ended(job))


async def test_stopping_with_a_full_backlog_claims_nothing_more(harness: WorkerHarness) -> None:
    """A worker whose files all wait for the disk begins nothing new once it was told to stop."""
    gate = asyncio.Event()

    class HeldDisk:
        async def put(self, key: str, data: bytes, content_type: str) -> None:
            await gate.wait()
            await harness.blobs.put(key, data, content_type)

    jobs = [await harness.store.jobs.submit(job_now()) for _ in range(5)]
    async with harness.worker(blobs=HeldDisk()) as worker:
        for job in jobs[:3]:
            await harness.begun(job)
        worker.stop()
        gate.set()
        for job in jobs[:3]:
            await harness.ended(job)

    states = [found.state for job in jobs if (found := await harness.store.jobs.get(job.id))]
    assert [JobState.SUCCEEDED] * 3 + [JobState.QUEUED] * 2 == states


async def test_stopping_twice_ends_the_grace_time(harness: WorkerHarness) -> None:
    """A second stop does not wait: what runs is released at once."""
    async with harness.worker(grace_seconds=600) as worker:
        job = await harness.store.jobs.submit(job_now(prompt="sleep=1"))
        await harness.begun(job)
        worker.stop()

    released = await harness.store.jobs.get(job.id)
    assert released is not None
    assert (JobState.QUEUED, 0) == (released.state, released.attempt)


async def test_a_drained_worker_finishes_what_it_generates_and_ends(harness: WorkerHarness) -> None:
    """It learns so with a report, takes all the time it needs, claims nothing more, and is then gone from the list."""
    worker = harness.build(lease_seconds=0.4, grace_seconds=0.01)
    running = asyncio.create_task(worker.run())
    generated = await harness.store.jobs.submit(job_now(prompt="sleep=0.2"))
    waiting = await harness.store.jobs.submit(job_now(priority=-1))
    await harness.begun(generated)

    assert await harness.store.workers.drain("w1", time.time())
    await harness.live(lambda report: not report.ready)
    assert not running.done()
    await asyncio.wait_for(running, 30)

    assert worker.was_drained
    assert_right_images(harness, await harness.ended(generated))
    left = await harness.store.jobs.get(waiting.id)
    assert left is not None
    assert JobState.QUEUED == left.state
    assert [] == await harness.store.workers.live(0)


async def test_a_drain_can_be_taken_back(harness: WorkerHarness) -> None:
    """While requests are running, the worker claims again with its next heartbeat, and is ready."""
    worker = harness.build(lease_seconds=0.4, grace_seconds=0.01)
    running = asyncio.create_task(worker.run())
    generated = await harness.store.jobs.submit(job_now(prompt="sleep=0.1"))
    waiting = await harness.store.jobs.submit(job_now(priority=-1))
    await harness.begun(generated)
    assert await harness.store.workers.drain("w1", time.time())
    await harness.live(lambda report: not report.ready)

    assert await harness.store.workers.undrain("w1", time.time())

    await harness.live(lambda report: report.ready)
    for job in (generated, waiting):
        assert_right_images(harness, await harness.ended(job))
    assert not worker.was_drained
    worker.stop()
    await asyncio.wait_for(running, 30)


async def test_a_worker_that_drains_can_be_stopped(harness: WorkerHarness) -> None:
    """A stop does not wait for the end of the drain: what runs gets the grace time, and is released."""
    worker = harness.build(lease_seconds=0.4, grace_seconds=0.1)
    running = asyncio.create_task(worker.run())
    job = await harness.store.jobs.submit(job_now(prompt="sleep=1"))
    await harness.begun(job)
    await harness.store.workers.drain("w1", time.time())
    await harness.live(lambda report: not report.ready)

    worker.stop()
    await asyncio.wait_for(running, 30)

    assert not worker.was_drained
    released = await harness.store.jobs.get(job.id)
    assert released is not None
    assert (JobState.QUEUED, 0) == (released.state, released.attempt)


async def test_a_worker_without_work_ends_when_it_is_drained(harness: WorkerHarness) -> None:
    """Also one whose model cannot be loaded."""
    for backend, name in (("gradient:Gradient", "w1"), ("while_loading.raises:Backend", "w2")):
        worker = harness.build(backend, name=name, lease_seconds=0.4)
        running = asyncio.create_task(worker.run())
        await harness.live(lambda report, name=name: report.name == name)  # type: ignore[misc]
        assert await harness.store.workers.drain(name, time.time())

        await asyncio.wait_for(running, 30)

        assert worker.was_drained
