"""Disks that fill up, and files that are deleted in time."""

import asyncio
import time
from pathlib import Path

import structlog

from pipelet.domain.job import State
from pipelet.worker.housekeeping import Housekeeping
from tests.disks import filled, small_disk
from tests.jobs import SetClock, make_job, wanting
from tests.worker.conftest import Workshop
from tests.worker.test_worker import assert_right_pictures, job_now


async def test_a_full_disk_delays_a_picture_and_does_not_lose_it(tmp_path: Path) -> None:
    """While nothing can be stored the request stays running; with space again it ends well, in its first attempt."""
    with small_disk(tmp_path / "disk", "2m") as disk:
        shop = Workshop(disk)
        with structlog.testing.capture_logs() as logs:
            async with shop.worker(lease_seconds=30):
                job = await shop.store.submit(job_now(prompt="sleep=0.05"))
                async with asyncio.timeout(20):
                    while (found := await shop.store.get(job.id)) is None or found.state is not State.RUNNING:
                        await asyncio.sleep(0.005)
                with filled(disk):
                    async with asyncio.timeout(20):
                        while not any(entry["event"] == "storing.delayed" for entry in logs):
                            await asyncio.sleep(0.01)
                    running = await shop.store.get(job.id)
                done = await shop.ended(job)

        assert running is not None
        assert State.RUNNING == running.state
        assert 1 == done.attempt
        assert_right_pictures(shop, done)
        shop.store.close()


async def test_requests_and_files_are_deleted_when_their_time_has_come(workshop: Workshop) -> None:
    """After the retention time neither the request nor its files are there; before, both are."""
    async with workshop.worker():
        done = await workshop.ended(await workshop.store.submit(job_now(batch_size=2)))
    clock = SetClock(time.time() + 99)
    housekeeping = Housekeeping(workshop.store, workshop.blobs, clock, retention_seconds=100)

    await housekeeping.delete_old()
    assert {image.key for image in done.images} == workshop.stored()

    clock.time += 10
    await housekeeping.delete_old()
    assert set() == workshop.stored()
    assert await workshop.store.get(done.id) is None


async def test_files_of_a_killed_worker_are_deleted_in_time(workshop: Workshop) -> None:
    """What an attempt stored before it died is found and deleted after the grace time, and the job waits again."""
    job = await workshop.store.submit(make_job())
    lease = await workshop.store.claim(wanting())
    assert lease is not None
    await workshop.store.reserve_files(lease, ["outputs/half.png"])
    await workshop.blobs.put("outputs/half.png", b"half", "image/png")
    clock = SetClock(lease.expires_at)
    housekeeping = Housekeeping(workshop.store, workshop.blobs, clock, retention_seconds=1e9)

    await housekeeping.take_back_expired()
    await housekeeping.delete_old()
    assert {"outputs/half.png"} == workshop.stored()

    clock.time += 3600
    await housekeeping.delete_old()
    assert set() == workshop.stored()
    waiting = await workshop.store.get(job.id)
    assert waiting is not None
    assert State.QUEUED == waiting.state
