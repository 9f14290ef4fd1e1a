"""Disks that fill up, and files that are deleted in time."""

import time
from pathlib import Path

import structlog

from pipelet.domain.job import State
from pipelet.worker.housekeeping import TURN_SECONDS, Housekeeping
from tests.disks import filled, small_disk
from tests.jobs import SetClock, make_job, wanting
from tests.waiting import until
from tests.worker.conftest import Workshop
from tests.worker.test_worker import assert_right_pictures, job_now


async def test_a_full_disk_delays_a_picture_and_does_not_lose_it(tmp_path: Path) -> None:
    """While nothing can be stored the request stays running; with space again it ends well, in its first attempt."""
    with small_disk(tmp_path / "disk", "2m") as disk:
        shop = Workshop(disk)
        with structlog.testing.capture_logs() as logs:
            async with shop.worker(lease_seconds=30):
                job = await shop.store.submit(job_now(prompt="sleep=0.05"))
                await shop.begun(job)
                with filled(disk):
                    await until(lambda: "storing.delayed" in [entry["event"] for entry in logs])
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
    housekeeping = Housekeeping(workshop.store, workshop.blobs, clock, retention_seconds=100, lease_seconds=10)

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
    housekeeping = Housekeeping(workshop.store, workshop.blobs, clock, retention_seconds=1e9, lease_seconds=10)

    await housekeeping.take_back_expired()
    await housekeeping.delete_old()
    assert {"outputs/half.png"} == workshop.stored()

    clock.time += 3600
    await housekeeping.delete_old()
    assert set() == workshop.stored()
    waiting = await workshop.store.get(job.id)
    assert waiting is not None
    assert State.QUEUED == waiting.state


async def test_a_machine_that_slept_does_not_cost_an_attempt(workshop: Workshop) -> None:
    """After a gap in its own turns, housekeeping gives workers that slept as well the time to extend their leases."""
    clock = SetClock()
    job = await workshop.store.submit(make_job())
    lease = await workshop.store.claim(wanting(now=clock.now(), seconds=10))
    assert lease is not None
    housekeeping = Housekeeping(workshop.store, workshop.blobs, clock, retention_seconds=1e9, lease_seconds=10)
    await housekeeping.take_back_expired()

    clock.time += 3600  # the lid was closed
    await housekeeping.take_back_expired()
    running = await workshop.store.get(job.id)
    for _ in range(12):  # nobody extends it: then it is lost all the same, one lease later
        clock.time += 1
        await housekeeping.take_back_expired()

    lost = await workshop.store.get(job.id)
    assert running is not None
    assert lost is not None
    assert (State.RUNNING, State.QUEUED) == (running.state, lost.state)


async def test_turns_that_come_a_little_late_are_no_sleep(workshop: Workshop) -> None:
    """On a busy machine, with leases hardly longer than a turn, a lost job is taken back all the same."""
    clock = SetClock()
    job = await workshop.store.submit(make_job())
    await workshop.store.claim(wanting(now=clock.now(), seconds=2))
    housekeeping = Housekeeping(workshop.store, workshop.blobs, clock, retention_seconds=1e9, lease_seconds=2)
    for _ in range(3):
        await housekeeping.take_back_expired()
        clock.time += 1.3 * TURN_SECONDS

    lost = await workshop.store.get(job.id)
    assert lost is not None
    assert State.QUEUED == lost.state


async def test_one_file_that_cannot_be_deleted_does_not_keep_the_others(workshop: Workshop) -> None:
    """Every other file is deleted in the same round, and the bad one is tried again later."""
    await workshop.store.submit(make_job())
    lease = await workshop.store.claim(wanting())
    assert lease is not None
    keys = [f"outputs/{number:04d}.png" for number in range(1200)]
    await workshop.store.reserve_files(lease, keys)
    (workshop.files / keys[0]).mkdir(parents=True)  # a folder is in its place
    clock = SetClock(lease.expires_at)
    housekeeping = Housekeeping(workshop.store, workshop.blobs, clock, retention_seconds=1e9, lease_seconds=10)
    await housekeeping.take_back_expired()
    clock.time += 3600

    await housekeeping.delete_old()

    assert keys[:1] == await workshop.store.unclaimed_files(clock.time, 2000)


async def test_files_that_are_away_are_not_asked_for_one_by_one(workshop: Workshop) -> None:
    """While nothing can be deleted one round is tried each time; afterwards all are."""
    await workshop.store.submit(make_job())
    lease = await workshop.store.claim(wanting())
    assert lease is not None
    await workshop.store.reserve_files(lease, [f"outputs/{number:04d}.png" for number in range(300)])
    clock = SetClock(lease.expires_at)
    housekeeping = Housekeeping(workshop.store, workshop.blobs, clock, retention_seconds=1e9, lease_seconds=10)
    await housekeeping.take_back_expired()
    clock.time += 3600
    (workshop.files / "outputs").touch()  # a file is in the folder's place

    with structlog.testing.capture_logs() as logs:
        await housekeeping.delete_old()
    kept = [entry for entry in logs if entry["event"] == "retention.kept"]
    (workshop.files / "outputs").unlink()
    await housekeeping.delete_old()

    assert 0 < len(kept) < 100
    assert [] == await workshop.store.unclaimed_files(clock.time, 1000)
