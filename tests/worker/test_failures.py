"""What a worker does when an engine, a request or its lease fails."""

import contextlib
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest
import structlog

from pipelet.domain.jobs.job import JobState
from pipelet.domain.jobs.outcome import FailureKind
from pipelet.domain.jobs.progress import Progress
from tests.support.jobs import claim_request
from tests.support.waiting import until
from tests.worker.conftest import WorkerHarness
from tests.worker.jobs import assert_right_images, job_now


async def test_a_dead_engine_costs_attempts_not_the_worker(harness: WorkerHarness) -> None:
    """A request that kills its engine fails after three attempts with the reason; the next one is generated."""
    async with harness.worker("while_generating.killed:Backend"):
        poison = await harness.store.jobs.submit(job_now(prompt="please die"))
        harmless = await harness.store.jobs.submit(job_now())
        dead, generated = await harness.ended(poison), await harness.ended(harmless)

    assert dead.failure is not None
    assert (JobState.FAILED, 3, FailureKind.WORKER_LOST) == (dead.state, dead.attempt, dead.failure.kind)
    assert "SIGKILL" in dead.failure.message
    assert_right_images(harness, generated)


@pytest.mark.parametrize(
    ("backend", "prompt", "kind", "attempts"),
    [
        ("while_generating.raises:Backend", "please", FailureKind.INTERNAL, 1),
        ("while_generating.raises:Backend", "refuse", FailureKind.INVALID_INPUT, 1),
        ("out_of_memory:Backend", "please", FailureKind.OUT_OF_MEMORY, 1),
        ("while_generating.hangs:Backend", "please", FailureKind.WORKER_LOST, 3),
        ("while_generating.exits:Backend", "please", FailureKind.WORKER_LOST, 3),
    ],
)
async def test_trouble_with_one_request_is_its_own(
    harness: WorkerHarness, backend: str, prompt: str, kind: FailureKind, attempts: int
) -> None:
    """Whatever happens while generating ends in a clear failure of that request, and the worker continues."""
    async with harness.worker(backend, stall_timeout_seconds=0.5):
        troubled = await harness.ended(await harness.store.jobs.submit(job_now(prompt=prompt)))
        generated = await harness.ended(await harness.store.jobs.submit(job_now()))

    assert troubled.failure is not None
    assert (JobState.FAILED, kind, attempts) == (troubled.state, troubled.failure.kind, troubled.attempt)
    assert_right_images(harness, generated)


async def test_a_batch_too_big_for_the_device_is_tried_in_parts(harness: WorkerHarness) -> None:
    """Out of memory with several images at once, the worker generates them one by one from then on."""
    async with harness.worker("too_big_at_once:Backend"):
        done = await harness.ended(await harness.store.jobs.submit(job_now(batch_size=3)))
        again = await harness.ended(await harness.store.jobs.submit(job_now(batch_size=3)))

    assert_right_images(harness, done)
    assert [2, 1] == [done.attempt, again.attempt]
    assert Progress(36, 36) == again.progress


async def test_a_worker_that_lost_its_lease_stops_and_touches_nothing(harness: WorkerHarness) -> None:
    """When another worker has the job, the first worker drops it, and the result is the second one's alone."""
    async with harness.worker(lease_seconds=0.4):
        job = await harness.store.jobs.submit(job_now(prompt="sleep=0.2"))
        await harness.begun(job)
        await harness.store.leases.requeue_of_worker("w1", time.time())
        stolen = await harness.store.leases.claim(claim_request(now=time.time(), seconds=60, worker="thief"))
        assert stolen is not None
        other = await harness.store.jobs.submit(job_now())
        generated = await harness.ended(other)

    still = await harness.store.jobs.get(job.id)
    assert still is not None
    assert JobState.RUNNING == still.state
    assert_right_images(harness, generated)
    assert {image.key for image in generated.images} == harness.stored()


async def test_a_model_that_cannot_be_loaded_is_reported(harness: WorkerHarness) -> None:
    """The worker says why it is not ready, claims nothing, and stops when told."""
    async with harness.worker("while_loading.raises:Backend"):
        job = await harness.store.jobs.submit(job_now())
        report = await harness.live(lambda report: "KeyError: 'weights'" in (report.problem or ""))

    assert not report.ready
    waiting = await harness.store.jobs.get(job.id)
    assert waiting is not None
    assert JobState.QUEUED == waiting.state


async def test_what_the_engine_printed_stays_with_the_operator(harness: WorkerHarness) -> None:
    """A failure says how the engine ended, and nothing of what it printed: that may be another user's prompt."""
    with structlog.testing.capture_logs() as logs:
        async with harness.worker("talks_and_dies:Backend"):
            await harness.ended(await harness.store.jobs.submit(job_now(prompt="secret project")))
            dead = await harness.ended(await harness.store.jobs.submit(job_now(prompt="please die")))

    told = [line.message for line in await harness.store.jobs.log(dead)]
    assert dead.failure is not None
    assert not any("truncated" in text for text in [dead.failure.message, *told])
    assert any("truncated" in entry["line"] for entry in logs if entry["event"] == "engine.stderr")


async def test_a_locked_database_costs_a_worker_nothing(harness: WorkerHarness, tmp_path: Path) -> None:
    """While another program holds the database, an engine that dies is replaced, and the request is generated."""
    with structlog.testing.capture_logs() as logs:
        async with harness.worker(lease_seconds=60):
            job = await harness.store.jobs.submit(job_now(prompt="sleep=0.2"))
            await harness.begun(job)
            with contextlib.closing(sqlite3.connect(tmp_path / "pipelet.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                os.kill(harness.engines[0].pid or 0, signal.SIGKILL)
                await until(lambda: "storage.retrying" in [entry["event"] for entry in logs], within=60)
                other.execute("ROLLBACK")
            done = await harness.ended(job)

    assert_right_images(harness, done)
    assert 2 == done.attempt
