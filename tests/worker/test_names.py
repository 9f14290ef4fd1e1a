"""Names of workers: each belongs to one process, and all workers of an app use one model."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.domain.errors import OperationalError
from tests.support.jobs import APP
from tests.worker.conftest import WorkerHarness
from tests.worker.jobs import assert_right_images, job_now


async def test_a_worker_with_another_model_is_refused(harness: WorkerHarness) -> None:
    """Two workers with different models of one app do not run together."""
    async with harness.worker():
        await harness.live()
        with pytest.raises(OperationalError, match="--model zoo"):
            await harness.build(name="w2", model="another").run()


async def test_a_namesake_is_refused(harness: WorkerHarness) -> None:
    """A worker whose name another one works under does not start, says what to do, and the other continues."""
    async with harness.worker(lease_seconds=1.0):
        first = await harness.live()
        with pytest.raises(OperationalError, match=r"w1.*--name"):
            await harness.build(lease_seconds=1.0).run()
        job = await harness.store.jobs.submit(job_now())
        assert_right_images(harness, await harness.ended(job))

        assert first.incarnation == (await harness.live()).incarnation


async def test_the_replacement_of_a_dead_worker_gets_its_name(harness: WorkerHarness) -> None:
    """Under the name of one that was killed, a worker starts once the last report has run out, whatever that generated
    with, and, where a clock was set back since, once no report came for as long."""
    now = time.time()
    for told_at in (now, now + 3600):
        facts: dict[str, Any] = {"profile": "demo", "apps": (APP,), "version": "0", "ready": True, "problem": None}
        facts["incarnation"] = "dead"
        dead = WorkerHeartbeat(name="w1", model="another", seen_at=told_at, expires_at=told_at + 0.6, **facts)
        assert HeartbeatReply.CONTINUE == await harness.store.workers.heartbeat(dead)
        async with asyncio.timeout(10), harness.worker():
            job = await harness.store.jobs.submit(job_now())
            assert_right_images(harness, await harness.ended(job))


async def test_a_worker_that_waits_for_its_name_can_be_stopped(harness: WorkerHarness) -> None:
    """It ends at once, without an error, and leaves the name to its owner."""
    async with harness.worker():
        first = await harness.live()
        waiting = harness.build()
        running = asyncio.create_task(waiting.run())
        waiting.stop()
        await asyncio.wait_for(running, timeout=10)

        assert first.incarnation == (await harness.live()).incarnation


async def test_a_worker_that_lost_its_name_finishes_what_it_generates_and_ends(harness: WorkerHarness) -> None:
    """One that was taken for dead hands its name over, ends its request in the one attempt, and says why
    it stops."""
    losing = harness.build(lease_seconds=1.0)
    running = asyncio.create_task(losing.run())
    job = await harness.store.jobs.submit(job_now(prompt="sleep=0.1"))
    await harness.begun(job)
    mine = await harness.live()
    other = replace(mine, incarnation="other", expires_at=time.time() + 60)
    reply = HeartbeatReply.NAME_TAKEN
    while reply is HeartbeatReply.NAME_TAKEN:  # by a heartbeat of the losing one in between
        await harness.store.workers.deregister(mine.name, mine.incarnation)
        reply = await harness.store.workers.heartbeat(other)

    with pytest.raises(OperationalError, match="took the name w1"):
        await running

    done = await harness.ended(job)
    assert_right_images(harness, done)
    assert 1 == done.attempt
    assert "other" == (await harness.live()).incarnation
