"""Disks that fill up, and files that are deleted in time."""

import time
from pathlib import Path

import structlog

from pipelet.domain.jobs.job import JobState
from pipelet.services.queue.maintenance import INTERVAL_SECONDS, Maintenance
from tests.support.disks import filled, small_disk
from tests.support.jobs import FakeClock, claim_request, make_job
from tests.support.waiting import until
from tests.worker.conftest import WorkerHarness
from tests.worker.jobs import assert_right_images, job_now


async def test_a_full_disk_delays_an_image_and_does_not_lose_it(tmp_path: Path) -> None:
    """While nothing can be stored the request stays running; with space again it ends well, in its first attempt."""
    with small_disk(tmp_path / "disk", "2m") as disk:
        harness = WorkerHarness(disk)
        with structlog.testing.capture_logs() as logs:
            async with harness.worker(lease_seconds=30):
                job = await harness.store.jobs.submit(job_now(prompt="sleep=0.05"))
                await harness.begun(job)
                with filled(disk):
                    await until(lambda: "storage.retrying" in [entry["event"] for entry in logs])
                    running = await harness.store.jobs.get(job.id)
                done = await harness.ended(job)

        assert running is not None
        assert JobState.RUNNING == running.state
        assert 1 == done.attempt
        assert_right_images(harness, done)
        harness.store.close()


async def test_requests_and_files_are_deleted_when_their_time_has_come(harness: WorkerHarness) -> None:
    """After the retention time neither the request nor its files are there; before, both are."""
    async with harness.worker():
        done = await harness.ended(await harness.store.jobs.submit(job_now(batch_size=2)))
    clock = harness.store.clock = FakeClock(time.time() + 99)
    maintenance = Maintenance(harness.store, harness.blobs, retention_seconds=100, lease_seconds=10)

    await maintenance.prune()
    assert {image.key for image in done.images} == harness.stored()

    clock.time += 10
    await maintenance.prune()
    assert set() == harness.stored()
    assert await harness.store.jobs.get(done.id) is None


async def test_files_of_a_killed_worker_are_deleted_in_time(harness: WorkerHarness) -> None:
    """What an attempt stored before it died is found and deleted after the grace time, and the job waits again."""
    job = await harness.store.jobs.submit(make_job())
    lease = await harness.store.leases.claim(claim_request())
    assert lease is not None
    await harness.store.files.reserve(lease, ["outputs/half.png"])
    await harness.blobs.put("outputs/half.png", b"half", "image/png")
    clock = harness.store.clock = FakeClock(lease.expires_at)
    maintenance = Maintenance(harness.store, harness.blobs, retention_seconds=1e9, lease_seconds=10)

    await maintenance.requeue_expired()
    await maintenance.prune()
    assert {"outputs/half.png"} == harness.stored()

    clock.time += 3600
    await maintenance.prune()
    assert set() == harness.stored()
    waiting = await harness.store.jobs.get(job.id)
    assert waiting is not None
    assert JobState.QUEUED == waiting.state


async def test_a_machine_that_slept_does_not_cost_an_attempt(harness: WorkerHarness) -> None:
    """After a gap in its own turns, maintenance gives workers that slept as well the time to extend their leases."""
    clock = harness.store.clock = FakeClock()
    job = await harness.store.jobs.submit(make_job())
    lease = await harness.store.leases.claim(claim_request(now=clock.now(), seconds=10))
    assert lease is not None
    maintenance = Maintenance(harness.store, harness.blobs, retention_seconds=1e9, lease_seconds=10)
    await maintenance.requeue_expired()

    clock.time += 3600  # the lid was closed
    await maintenance.requeue_expired()
    running = await harness.store.jobs.get(job.id)
    for _ in range(12):  # without renewal it is lost all the same, one lease later
        clock.time += 1
        await maintenance.requeue_expired()

    lost = await harness.store.jobs.get(job.id)
    assert running is not None
    assert lost is not None
    assert (JobState.RUNNING, JobState.QUEUED) == (running.state, lost.state)


async def test_turns_that_come_a_little_late_are_no_sleep(harness: WorkerHarness) -> None:
    """On a busy machine, with leases hardly longer than a turn, a lost job is taken back all the same."""
    clock = harness.store.clock = FakeClock()
    job = await harness.store.jobs.submit(make_job())
    await harness.store.leases.claim(claim_request(now=clock.now(), seconds=2))
    maintenance = Maintenance(harness.store, harness.blobs, retention_seconds=1e9, lease_seconds=2)
    for _ in range(3):
        await maintenance.requeue_expired()
        clock.time += 1.3 * INTERVAL_SECONDS

    lost = await harness.store.jobs.get(job.id)
    assert lost is not None
    assert JobState.QUEUED == lost.state


async def test_one_file_that_cannot_be_deleted_does_not_keep_the_others(harness: WorkerHarness) -> None:
    """Every other file is deleted in the same round, and the bad one is tried again later."""
    await harness.store.jobs.submit(make_job())
    lease = await harness.store.leases.claim(claim_request())
    assert lease is not None
    keys = [f"outputs/{number:04d}.png" for number in range(1200)]
    await harness.store.files.reserve(lease, keys)
    (harness.files / keys[0]).mkdir(parents=True)  # a folder is in its place
    clock = harness.store.clock = FakeClock(lease.expires_at)
    maintenance = Maintenance(harness.store, harness.blobs, retention_seconds=1e9, lease_seconds=10)
    await maintenance.requeue_expired()
    clock.time += 3600

    await maintenance.prune()

    assert keys[:1] == await harness.store.files.orphaned(clock.time, 2000)


async def test_files_that_are_away_are_not_asked_for_one_by_one(harness: WorkerHarness) -> None:
    """While nothing can be deleted one round is tried each time; afterwards all are."""
    await harness.store.jobs.submit(make_job())
    lease = await harness.store.leases.claim(claim_request())
    assert lease is not None
    await harness.store.files.reserve(lease, [f"outputs/{number:04d}.png" for number in range(300)])
    clock = harness.store.clock = FakeClock(lease.expires_at)
    maintenance = Maintenance(harness.store, harness.blobs, retention_seconds=1e9, lease_seconds=10)
    await maintenance.requeue_expired()
    clock.time += 3600
    (harness.files / "outputs").touch()  # a file is in the folder's place

    with structlog.testing.capture_logs() as logs:
        await maintenance.prune()
    kept = [entry for entry in logs if entry["event"] == "retention.delete_failed"]
    (harness.files / "outputs").unlink()
    await maintenance.prune()

    assert 0 < len(kept) < 100
    assert [] == await harness.store.files.orphaned(clock.time, 1000)
