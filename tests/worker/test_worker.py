"""The worker, with real engine processes."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structlog
from PIL import Image

from pipelet.domain.capacity.cost_model import CostModel, spec_work
from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.domain.errors import OperationalError
from pipelet.domain.generation.image import OutputFormat
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.outcome import FailureKind
from pipelet.domain.jobs.progress import Progress
from tests.support.backends.gradient import picture
from tests.support.images import details
from tests.support.jobs import APP, claim_request, make_job, make_spec
from tests.support.waiting import until
from tests.worker.conftest import WorkerHarness


def job_now(**changes: object) -> Job:
    return make_job(submitted_at=time.time(), **changes)  # type: ignore[arg-type]


def assert_right_pictures(shop: WorkerHarness, job: Job) -> None:
    assert JobState.SUCCEEDED == job.state
    assert job.spec.batch_size == len(job.images)
    for number, image in enumerate(job.images):
        with Image.open(shop.files / image.key) as file:
            assert np.array_equal(picture(job.spec, job.spec.seed + number), np.asarray(file))
        assert job.spec.seed + number == image.seed
        assert image.file_size == (shop.files / image.key).stat().st_size


async def test_a_request_becomes_its_pictures(workshop: WorkerHarness) -> None:
    """Every image of the batch is stored with its own seed, all tasks are done, and the files tell their story."""
    async with workshop.worker():
        job = await workshop.store.jobs.submit(job_now(prompt="a fox, 狐", batch_size=3, width=97, height=65))
        done = await workshop.ended(job)

    assert_right_pictures(workshop, done)
    assert Progress(12, 12) == done.progress
    with Image.open(workshop.files / done.images[2].key) as file:
        story = details(file)
    assert ("a fox, 狐", 44, "97x65", 8, job.id) == tuple(
        story[key] for key in ("prompt", "seed", "size", "num_inference_steps", "request_id")
    )
    assert ["00001", "00002", "00003"] == [image.file_name.split("__")[1][:5] for image in done.images]


@pytest.mark.parametrize("output_format", [OutputFormat.JPEG, OutputFormat.WEBP])
async def test_other_formats_tell_their_story_too(workshop: WorkerHarness, output_format: OutputFormat) -> None:
    """JPEG and WebP files look like the picture and carry prompt and seed in their Exif data."""
    async with workshop.worker():
        done = await workshop.ended(await workshop.store.jobs.submit(job_now(output_format=output_format)))

    with Image.open(workshop.files / done.images[0].key) as file:
        assert output_format.value.upper() == file.format
        difference = np.asarray(file.convert("RGB")).astype(int) - picture(done.spec, done.spec.seed)
        comment = file.getexif().get_ifd(0x8769)[0x9286]
    assert np.abs(difference).mean() < 4
    assert done.spec.prompt in comment.removeprefix(b"UNICODE\0").decode("utf-16-be")


async def test_a_batch_that_does_not_fit_is_drawn_in_parts(workshop: WorkerHarness) -> None:
    """Parts change the number of tasks, never the pictures, nor which of them a safety checker flagged."""
    async with workshop.worker(max_megapixels_per_batch=2 * 96 * 64 / 1e6):
        done = await workshop.ended(await workshop.store.jobs.submit(job_now(batch_size=5)))

    assert_right_pictures(workshop, done)
    assert Progress(36, 36) == done.progress
    assert [image.seed % 2 == 1 for image in done.images] == [image.has_nsfw_concepts for image in done.images]


async def test_sizes_the_model_was_not_trained_for_are_resampled(workshop: WorkerHarness) -> None:
    """The picture is the native one, scaled to cover what was asked for; its file says at which size it was drawn."""
    asked = job_now(width=480, height=320, batch_size=2)
    async with workshop.worker(native_sizes=("64x64", "96x64"), max_megapixels_per_batch=2 * 96 * 64 / 1e6):
        done = await workshop.ended(await workshop.store.jobs.submit(asked))
        trained = await workshop.ended(await workshop.store.jobs.submit(job_now()))

    native = replace(done.spec, width=96, height=64)
    for number, image in enumerate(done.images):
        with Image.open(workshop.files / image.key) as file:
            shrunk = file.convert("RGB").resize((96, 64), Image.Resampling.BOX)
            assert ("480x320", "96x64") == (details(file)["size"], details(file)["drawn_at"])
            assert (480, 320) == file.size == (image.width, image.height)
        difference = np.asarray(shrunk).astype(int) - picture(native, done.spec.seed + number)
        assert np.abs(difference).mean() < 2
    assert Progress(12, 12) == done.progress
    assert_right_pictures(workshop, trained)
    with Image.open(workshop.files / trained.images[0].key) as file:
        assert "drawn_at" not in details(file)


async def test_a_refined_picture_is_stored_as_it_was_drawn(workshop: WorkerHarness) -> None:
    """Where the engine makes a second pass it hands over the full size, and the tasks are those of both passes."""
    fields = {"native_sizes": ("96x64",), "refine_strength": 0.3, "max_megapixels_per_batch": 192 * 128 / 1e6}
    async with workshop.worker("refines:Backend", **fields):
        done = await workshop.ended(await workshop.store.jobs.submit(job_now(width=192, height=128, batch_size=2)))

    assert_right_pictures(workshop, done)
    assert Progress(2 * (12 + 5), 2 * (12 + 5)) == done.progress
    with Image.open(workshop.files / done.images[0].key) as file:
        told = details(file)
    assert ("96x64", 0.3) == (told["drawn_at"], told["refine_strength"])


async def test_progress_grows_task_by_task(workshop: WorkerHarness) -> None:
    """What the store says while a request runs never falls, always names the same total, and shows the steps."""
    seen: list[Progress] = []
    async with workshop.worker():
        job = await workshop.store.jobs.submit(job_now(prompt="sleep=0.15"))
        while not (found := await workshop.store.jobs.get(job.id)) or not found.state.is_final:
            if found and found.progress and found.progress not in seen:
                seen.append(found.progress)
            await asyncio.sleep(0.01)

    assert {12} == {progress.total for progress in seen}
    assert sorted(progress.done for progress in seen) == [progress.done for progress in seen]
    assert len(seen) > 5


async def test_a_dead_engine_costs_attempts_not_the_worker(workshop: WorkerHarness) -> None:
    """A request that kills its engine fails after three attempts with the reason; the next one is drawn."""
    async with workshop.worker("killed_while_drawing:Backend"):
        poison = await workshop.store.jobs.submit(job_now(prompt="please die"))
        harmless = await workshop.store.jobs.submit(job_now())
        dead, drawn = await workshop.ended(poison), await workshop.ended(harmless)

    assert dead.failure is not None
    assert (JobState.FAILED, 3, FailureKind.WORKER_LOST) == (dead.state, dead.attempt, dead.failure.kind)
    assert "SIGKILL" in dead.failure.message
    assert_right_pictures(workshop, drawn)


@pytest.mark.parametrize(
    ("animal", "prompt", "kind", "attempts"),
    [
        ("raises_while_drawing:Backend", "please", FailureKind.INTERNAL, 1),
        ("raises_while_drawing:Backend", "refuse", FailureKind.INVALID_INPUT, 1),
        ("out_of_memory:Backend", "please", FailureKind.OUT_OF_MEMORY, 1),
        ("hangs_while_drawing:Backend", "please", FailureKind.WORKER_LOST, 3),
        ("exits_while_drawing:Backend", "please", FailureKind.WORKER_LOST, 3),
    ],
)
async def test_trouble_with_one_request_is_its_own(
    workshop: WorkerHarness, animal: str, prompt: str, kind: FailureKind, attempts: int
) -> None:
    """Whatever happens while drawing ends in a clear failure of that request, and the worker goes on."""
    async with workshop.worker(animal, stall_timeout_seconds=0.5):
        troubled = await workshop.ended(await workshop.store.jobs.submit(job_now(prompt=prompt)))
        drawn = await workshop.ended(await workshop.store.jobs.submit(job_now()))

    assert troubled.failure is not None
    assert (JobState.FAILED, kind, attempts) == (troubled.state, troubled.failure.kind, troubled.attempt)
    assert_right_pictures(workshop, drawn)


async def test_a_batch_too_big_for_the_device_is_tried_in_parts(workshop: WorkerHarness) -> None:
    """Out of memory with several images at once, the worker draws them one by one from then on."""
    async with workshop.worker("too_big_at_once:Backend"):
        done = await workshop.ended(await workshop.store.jobs.submit(job_now(batch_size=3)))
        again = await workshop.ended(await workshop.store.jobs.submit(job_now(batch_size=3)))

    assert_right_pictures(workshop, done)
    assert [2, 1] == [done.attempt, again.attempt]
    assert Progress(36, 36) == again.progress


async def test_the_next_request_is_drawn_while_files_are_stored(workshop: WorkerHarness) -> None:
    """The engine is on the second request before the first one's files are stored."""

    class SlowDisk:
        """Our own port, on the real disk, held until the test lets it go."""

        gate = asyncio.Event()

        async def put(self, key: str, data: bytes, content_type: str) -> None:
            await self.gate.wait()
            await workshop.blobs.put(key, data, content_type)

    async with workshop.worker(blobs=SlowDisk()):  # type: ignore[arg-type]
        first = await workshop.store.jobs.submit(job_now())
        second = await workshop.store.jobs.submit(job_now())
        await workshop.begun(second)
        waiting = await workshop.store.jobs.get(first.id)
        SlowDisk.gate.set()
        ended = [await workshop.ended(first), await workshop.ended(second)]

    assert waiting is not None
    assert JobState.RUNNING == waiting.state
    for job in ended:
        assert_right_pictures(workshop, job)


async def test_stopping_finishes_what_runs(workshop: WorkerHarness) -> None:
    """A worker that is told to stop completes its request, claims no other, and is then gone from the list."""
    async with workshop.worker():
        running = await workshop.store.jobs.submit(job_now(prompt="sleep=0.1"))
        waiting = await workshop.store.jobs.submit(job_now(priority=-1))
        await workshop.begun(running)

    assert_right_pictures(workshop, await workshop.ended(running))
    left = await workshop.store.jobs.get(waiting.id)
    assert left is not None
    assert JobState.QUEUED == left.state
    assert [] == await workshop.store.workers.live(0)


async def test_what_outlasts_the_grace_time_is_handed_back(workshop: WorkerHarness) -> None:
    """A request that cannot end in time goes back to the queue as if it had not begun, and another worker draws it."""
    async with workshop.worker(grace_seconds=0.1):
        job = await workshop.store.jobs.submit(job_now(prompt="sleep=0.2"))
        await workshop.begun(job)

    released = await workshop.store.jobs.get(job.id)
    assert released is not None
    assert (JobState.QUEUED, 0) == (released.state, released.attempt)
    async with workshop.worker(name="w2"):
        assert_right_pictures(workshop, await workshop.ended(job))


async def test_a_worker_that_lost_its_lease_stops_and_touches_nothing(workshop: WorkerHarness) -> None:
    """When somebody else has the job, the first worker drops it, and the result is the second one's alone."""
    async with workshop.worker(lease_seconds=0.4):
        job = await workshop.store.jobs.submit(job_now(prompt="sleep=0.2"))
        await workshop.begun(job)
        await workshop.store.leases.requeue_of_worker("w1", time.time())
        stolen = await workshop.store.leases.claim(claim_request(now=time.time(), seconds=60, worker="thief"))
        assert stolen is not None
        other = await workshop.store.jobs.submit(job_now())
        drawn = await workshop.ended(other)

    still = await workshop.store.jobs.get(job.id)
    assert still is not None
    assert JobState.RUNNING == still.state
    assert_right_pictures(workshop, drawn)
    assert {image.key for image in drawn.images} == workshop.stored()


async def test_a_model_that_cannot_be_loaded_is_reported(workshop: WorkerHarness) -> None:
    """The worker says why it is not ready, claims nothing, and stops when told."""
    async with workshop.worker("raises_while_loading:Backend"):
        job = await workshop.store.jobs.submit(job_now())
        report = await workshop.live(lambda report: "KeyError: 'weights'" in (report.problem or ""))

    assert not report.ready
    waiting = await workshop.store.jobs.get(job.id)
    assert waiting is not None
    assert JobState.QUEUED == waiting.state


async def test_drawing_is_learned_at_the_size_it_is_done_at(workshop: WorkerHarness) -> None:
    """How large the picture becomes afterwards says nothing about drawing, and how small it was nothing of storing."""
    async with workshop.worker(native_sizes=("96x64",)):
        await workshop.ended(await workshop.store.jobs.submit(job_now(width=960, height=640)))

    cost_models = await workshop.store.workers.cost_models()
    drawing = CostModel().observe(spec_work(make_spec(width=96, height=64)), 1.0)
    recording = CostModel().observe(spec_work(make_spec(width=960, height=640)), 1.0)
    assert drawing.matrix == cost_models["zoo on cpu", "generate"].matrix
    assert recording.matrix == cost_models["zoo on cpu", "store"].matrix


async def test_times_are_learned(workshop: WorkerHarness) -> None:
    """Finished requests teach the store how long drawing and recording take on this kind of worker."""
    async with workshop.worker():
        for _ in range(3):
            await workshop.ended(await workshop.store.jobs.submit(job_now()))

    cost_models = await workshop.store.workers.cost_models()
    assert {("zoo on cpu", "generate"): 3, ("zoo on cpu", "store"): 3} == {
        kind: sums.count for kind, sums in cost_models.items()
    }


async def test_what_the_engine_printed_stays_with_the_operator(workshop: WorkerHarness) -> None:
    """A failure says how the engine ended, and nothing of what it printed: that may be somebody else's prompt."""
    with structlog.testing.capture_logs() as logs:
        async with workshop.worker("talks_and_dies:Backend"):
            await workshop.ended(await workshop.store.jobs.submit(job_now(prompt="secret project")))
            dead = await workshop.ended(await workshop.store.jobs.submit(job_now(prompt="please die")))

    told = [line.message for line in await workshop.store.jobs.log(dead)]
    assert dead.failure is not None
    assert not any("truncated" in text for text in [dead.failure.message, *told])
    assert any("truncated" in entry["line"] for entry in logs if entry["event"] == "engine.stderr")


async def test_stopping_with_a_full_backlog_claims_nothing_more(workshop: WorkerHarness) -> None:
    """A worker whose files all wait for the disk begins nothing new once it was told to stop."""
    gate = asyncio.Event()

    class HeldDisk:
        async def put(self, key: str, data: bytes, content_type: str) -> None:
            await gate.wait()
            await workshop.blobs.put(key, data, content_type)

    jobs = [await workshop.store.jobs.submit(job_now()) for _ in range(5)]
    async with workshop.worker(blobs=HeldDisk()) as worker:  # type: ignore[arg-type]
        for job in jobs[:3]:
            await workshop.begun(job)
        worker.stop()
        gate.set()
        for job in jobs[:3]:
            await workshop.ended(job)

    states = [found.state for job in jobs if (found := await workshop.store.jobs.get(job.id))]
    assert [JobState.SUCCEEDED] * 3 + [JobState.QUEUED] * 2 == states


async def test_stopping_twice_ends_the_grace_time(workshop: WorkerHarness) -> None:
    """Whoever asks again does not want to wait: what runs is handed back at once."""
    async with workshop.worker(grace_seconds=600) as worker:
        job = await workshop.store.jobs.submit(job_now(prompt="sleep=1"))
        await workshop.begun(job)
        worker.stop()

    released = await workshop.store.jobs.get(job.id)
    assert released is not None
    assert (JobState.QUEUED, 0) == (released.state, released.attempt)


async def test_a_drained_worker_finishes_what_it_draws_and_ends(workshop: WorkerHarness) -> None:
    """It learns so with a report, takes all the time it needs, claims nothing more, and is then gone from the list."""
    worker = workshop.build(lease_seconds=0.4, grace_seconds=0.01)
    running = asyncio.create_task(worker.run())
    drawn = await workshop.store.jobs.submit(job_now(prompt="sleep=0.2"))
    waiting = await workshop.store.jobs.submit(job_now(priority=-1))
    await workshop.begun(drawn)

    assert await workshop.store.workers.drain("w1", time.time())
    await workshop.live(lambda report: not report.ready)
    assert not running.done()
    await asyncio.wait_for(running, 30)

    assert worker.was_drained
    assert_right_pictures(workshop, await workshop.ended(drawn))
    left = await workshop.store.jobs.get(waiting.id)
    assert left is not None
    assert JobState.QUEUED == left.state
    assert [] == await workshop.store.workers.live(0)


async def test_a_worker_that_drains_can_be_stopped(workshop: WorkerHarness) -> None:
    """Whoever stops it does not wait for the end of the drain: what runs gets the grace time, and is handed back."""
    worker = workshop.build(lease_seconds=0.4, grace_seconds=0.1)
    running = asyncio.create_task(worker.run())
    job = await workshop.store.jobs.submit(job_now(prompt="sleep=1"))
    await workshop.begun(job)
    await workshop.store.workers.drain("w1", time.time())
    await workshop.live(lambda report: not report.ready)

    worker.stop()
    await asyncio.wait_for(running, 30)

    assert not worker.was_drained
    released = await workshop.store.jobs.get(job.id)
    assert released is not None
    assert (JobState.QUEUED, 0) == (released.state, released.attempt)


async def test_a_worker_without_work_ends_when_it_is_drained(workshop: WorkerHarness) -> None:
    """Also one whose model cannot be loaded."""
    for animal, name in (("gradient:Gradient", "w1"), ("raises_while_loading:Backend", "w2")):
        worker = workshop.build(animal, name=name, lease_seconds=0.4)
        running = asyncio.create_task(worker.run())
        await workshop.live(lambda report, name=name: report.name == name)  # type: ignore[misc]
        assert await workshop.store.workers.drain(name, time.time())

        await asyncio.wait_for(running, 30)

        assert worker.was_drained


async def test_a_locked_database_costs_a_worker_nothing(workshop: WorkerHarness, tmp_path: Path) -> None:
    """While another program holds the database, an engine that dies is replaced, and the request is drawn."""
    with structlog.testing.capture_logs() as logs:
        async with workshop.worker(lease_seconds=60):
            job = await workshop.store.jobs.submit(job_now(prompt="sleep=0.2"))
            await workshop.begun(job)
            with contextlib.closing(sqlite3.connect(tmp_path / "pipelet.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                os.kill(workshop.engines[0].pid or 0, signal.SIGKILL)
                await until(lambda: "storage.retrying" in [entry["event"] for entry in logs], within=60)
                other.execute("ROLLBACK")
            done = await workshop.ended(job)

    assert_right_pictures(workshop, done)
    assert 2 == done.attempt


async def test_a_worker_with_another_model_is_refused(workshop: WorkerHarness) -> None:
    """Two workers that would draw the same app differently do not run beside each other."""
    async with workshop.worker():
        await workshop.live()
        with pytest.raises(OperationalError, match="--model zoo"):
            await workshop.build(name="w2", model="another").run()


async def test_a_namesake_is_refused(workshop: WorkerHarness) -> None:
    """A worker whose name another one works under does not start, says what to do, and the other goes on."""
    async with workshop.worker(lease_seconds=1.0):
        first = await workshop.live()
        with pytest.raises(OperationalError, match=r"w1.*--name"):
            await workshop.build(lease_seconds=1.0).run()
        job = await workshop.store.jobs.submit(job_now())
        assert_right_pictures(workshop, await workshop.ended(job))

        assert first.incarnation == (await workshop.live()).incarnation


async def test_whoever_takes_the_place_of_a_dead_worker_gets_its_name(workshop: WorkerHarness) -> None:
    """Under the name of one that was killed, a worker starts once the last report has run out, whatever that drew with,
    and, where a clock was set back since, once nothing was heard for as long."""
    now = time.time()
    for told_at in (now, now + 3600):
        facts = {"profile": "demo", "apps": (APP,), "version": "0", "ready": True, "problem": None}
        facts["incarnation"] = "dead"
        dead = WorkerHeartbeat(name="w1", model="another", seen_at=told_at, expires_at=told_at + 0.6, **facts)
        assert HeartbeatReply.CONTINUE == await workshop.store.workers.heartbeat(dead)
        async with asyncio.timeout(10), workshop.worker():
            job = await workshop.store.jobs.submit(job_now())
            assert_right_pictures(workshop, await workshop.ended(job))


async def test_a_worker_that_waits_for_its_name_can_be_stopped(workshop: WorkerHarness) -> None:
    """It ends at once, without an error, and leaves the name to its owner."""
    async with workshop.worker():
        first = await workshop.live()
        waiting = workshop.build()
        running = asyncio.create_task(waiting.run())
        waiting.stop()
        await asyncio.wait_for(running, timeout=10)

        assert first.incarnation == (await workshop.live()).incarnation


async def test_a_worker_that_lost_its_name_finishes_what_it_draws_and_ends(workshop: WorkerHarness) -> None:
    """One that was taken for dead meanwhile hands its name over, ends its request in the one attempt, and says why it
    stops."""
    losing = workshop.build(lease_seconds=1.0)
    running = asyncio.create_task(losing.run())
    job = await workshop.store.jobs.submit(job_now(prompt="sleep=0.1"))
    await workshop.begun(job)
    mine = await workshop.live()
    await workshop.store.workers.deregister(mine.name, mine.incarnation)
    await workshop.store.workers.heartbeat(replace(mine, incarnation="other", expires_at=time.time() + 60))

    with pytest.raises(OperationalError, match="took the name w1"):
        await running

    done = await workshop.ended(job)
    assert_right_pictures(workshop, done)
    assert 1 == done.attempt
    assert "other" == (await workshop.live()).incarnation


async def test_very_long_texts_fit_into_the_exif_data(workshop: WorkerHarness) -> None:
    """A JPEG's story is cut where the format ends, and the picture is stored."""
    async with workshop.worker():
        job = job_now(prompt="a", negative_prompt="😀" * 4000, output_format=OutputFormat.JPEG)
        done = await workshop.ended(await workshop.store.jobs.submit(job))

    assert (JobState.SUCCEEDED, 1) == (done.state, done.attempt)
