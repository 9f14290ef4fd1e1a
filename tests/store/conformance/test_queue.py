"""What every store guarantees for the queue."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest

from pipelet.domain.capacity.cost_model import Work, WorkAhead
from pipelet.domain.generation.image import InputImage
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import CancelResult, JobState
from pipelet.domain.jobs.outcome import FailureKind, Released
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import LOST, drain
from tests.support.jobs import APP, claim_request, make_job, make_key, success


async def test_excluded_jobs_are_left_to_other_workers(store: Store) -> None:
    """A claim skips the jobs that it excludes, in every app, and takes the next; other workers take them in their
    turn."""
    key = make_key(max_running_images=9)
    await store.api_keys.add(key)
    first, second, elsewhere = [
        await store.jobs.submit(each) for each in (make_job(), make_job(key=key), make_job(app="other", priority=-1))
    ]
    want = claim_request(APP, "other")

    for exclude_ids, expected in (((first.id,), second), ((first.id,), elsewhere), ((first.id, "unknown"), None)):
        lease = await store.leases.claim(replace(want, token=new_token(), exclude_ids=exclude_ids))
        assert (lease and lease.job.id) == (expected and expected.id)
    lease = await store.leases.claim(want)
    assert lease is not None
    assert first.id == lease.job.id


async def test_a_submitted_job_reads_back_as_it_was(store: Store) -> None:
    """All fields of a request survive the database, whichever characters its prompt has."""
    job = make_job(
        prompt='снег "雪" ❄️ \\ \n', negative_prompt="", seed=2**53 - 1, priority=-(2**31), guidance_scale=3.5
    )

    submitted = await store.jobs.submit(job)

    assert replace(job, seq=submitted.seq) == submitted == await store.jobs.get(job.id)


async def test_input_images_keep_their_order(store: Store) -> None:
    """The order of an edit's input images is kept."""
    input_images = tuple(InputImage(key=f"inputs/{name}.png", width=64, height=96) for name in ("b", "a", "c"))
    wanted = make_job(input_images=input_images, strength=0.6)
    await store.files.reserve_input_files(wanted.id, [each.key for each in input_images], 1_000_900.0)
    job = await store.jobs.submit(wanted)

    assert job == await store.jobs.get(job.id)


async def test_an_unknown_id_reads_as_none(store: Store) -> None:
    """Reading an unknown job is not an error."""
    assert await store.jobs.get("x" * 20) is None


async def test_priority_goes_first_then_arrival(store: Store) -> None:
    """Jobs start by descending priority over the whole range, and by arrival within one value."""
    priorities = [0, 5, -(2**31), 0, 2**31 - 1, 5, -1]
    jobs = [await store.jobs.submit(make_job(priority=priority)) for priority in priorities]

    expected = sorted(jobs, key=lambda job: (-job.priority, job.seq))

    assert [job.id for job in expected] == await drain(store)


async def test_a_worker_gets_only_apps_it_serves(store: Store) -> None:
    """A job waits for a worker of its app, however many others poll."""
    other = await store.jobs.submit(make_job(app="other", priority=9))
    mine = await store.jobs.submit(make_job())

    assert [mine.id] == await drain(store, APP)
    assert [other.id] == await drain(store, APP, "other")


async def test_no_job_is_claimed_twice(store: Store, second_store: Store) -> None:
    """Workers of two processes that claim at the same time never get the same job, and together they get all."""
    jobs = [await store.jobs.submit(make_job(priority=k % 3)) for k in range(60)]

    first, second = await asyncio.gather(drain(store), drain(second_store))

    assert sorted(job.id for job in jobs) == sorted(first + second)


async def test_places_agree_with_the_order_of_claims(store: Store) -> None:
    """For every queued job, the work ahead is exactly what is then claimed before it, in number and in work."""
    rng = random.Random(3)
    jobs = []
    for _ in range(700):  # more than two of the blocks that the store counts by
        spec: dict[str, Any] = {"width": rng.choice([64, 512]), "num_inference_steps": rng.choice([4, 8])}
        app = rng.choice([APP, "other"])
        jobs.append(await store.jobs.submit(make_job(priority=rng.choice([-1, 0, 0, 0, 7]), app=app, **spec)))
    begun = {lease.job.id for _ in range(150) if (lease := await store.leases.claim(claim_request(APP, "other")))}
    waiting = [job for job in jobs if job.id not in begun]
    for job in rng.sample(waiting, 100):
        await store.jobs.cancel(job.id, 1_000_001.0)
        waiting.remove(job)
    waiting.sort(key=lambda job: (-job.priority, job.seq))

    work = Work()
    for place, job in enumerate(waiting):
        ahead = await store.queue.work_ahead(job, [APP, "other"])
        assert place == ahead.requests
        assert pytest.approx(work.amounts()) == ahead.work.amounts()
        work += job.work

    assert [job.id for job in waiting] == await drain(store, APP, "other")


async def test_places_count_only_the_wanted_apps(store: Store) -> None:
    """Requests of apps that other workers serve are not ahead."""
    await store.jobs.submit(make_job(app="other", priority=5))
    await store.jobs.submit(make_job())
    job = await store.jobs.submit(make_job())

    assert 1 == (await store.queue.work_ahead(job, [APP])).requests
    assert 2 == (await store.queue.work_ahead(job, [APP, "other"])).requests


async def test_the_backlog_is_what_a_new_request_waits_for(store: Store) -> None:
    """A new request waits for all requests of its priority and above."""
    for priority in (-1, 0, 0, 3):
        await store.jobs.submit(make_job(priority=priority))

    assert [4, 3, 1, 0] == [(await store.queue.backlog(priority, [APP])).requests for priority in (-5, 0, 1, 4)]
    assert WorkAhead(0, Work()) == await store.queue.backlog(0, ["other"])


async def test_a_cancelled_job_never_starts(store: Store) -> None:
    """The cancel of a queued job is final, has the same result when repeated, and frees its place."""
    job, other = await store.jobs.submit(make_job()), await store.jobs.submit(make_job())

    assert CancelResult.CANCELLED == await store.jobs.cancel(job.id, 1_000_003.0)
    assert CancelResult.CANCELLED == await store.jobs.cancel(job.id, 1_000_004.0)

    cancelled = await store.jobs.get(job.id)
    assert cancelled is not None
    assert cancelled.failure is not None
    assert (JobState.CANCELLED, 1_000_003.0) == (cancelled.state, cancelled.finished_at)
    assert FailureKind.CANCELLED == cancelled.failure.kind
    assert 0 == (await store.queue.work_ahead(other, [APP])).requests
    assert [other.id] == await drain(store)


async def test_cancel_returns_a_result_by_state(store: Store) -> None:
    """A running or ended job cannot be cancelled, and an unknown one is reported as unknown."""
    job = await store.jobs.submit(make_job())
    lease = await store.leases.claim(claim_request())
    assert lease is not None

    assert CancelResult.ALREADY_RUNNING == await store.jobs.cancel(job.id, 1_000_001.0)
    await store.leases.finish(lease, success(), 1_000_002.0)
    assert CancelResult.ALREADY_FINISHED == await store.jobs.cancel(job.id, 1_000_003.0)
    assert CancelResult.UNKNOWN == await store.jobs.cancel("x" * 20, 1_000_003.0)


async def test_exactly_one_of_cancel_and_claim_wins(store: Store, second_store: Store) -> None:
    """Raced from two processes, every job is either started or cancelled, and both sides agree which."""
    jobs = [await store.jobs.submit(make_job()) for _ in range(200)]

    async def cancel_all() -> set[str]:
        responses = [(job.id, await second_store.jobs.cancel(job.id, 1_000_001.0)) for job in reversed(jobs)]
        return {job_id for job_id, response in responses if response is CancelResult.CANCELLED}

    begun, cancelled = await asyncio.gather(drain(store), cancel_all())

    assert {job.id for job in jobs} == set(begun) | cancelled
    assert not set(begun) & cancelled


async def test_every_change_is_seen_by_others(store: Store, second_store: Store) -> None:
    """A change by one process is visible to another at its next read, however often it has read the job before."""
    job = await store.jobs.submit(make_job())
    seen = [await second_store.jobs.get(job.id)]

    async def note() -> None:
        seen.extend([await second_store.jobs.get(job.id) for _ in range(2)])
        assert seen[-2] == seen[-1] == await store.jobs.get(job.id)
        assert seen[-1] != seen[-3]

    for outcome in (LOST, Released("stopping"), success("outputs/a.png")):
        lease = await store.leases.claim(claim_request())
        assert lease is not None
        await note()
        for done in (0, 5):
            await store.leases.report_progress(lease, Progress(done, 12))
            await note()
        await store.leases.finish(lease, outcome, 1_000_002.0)
        await note()
    await store.jobs.delete_finished(before=1_000_003.0, now=1_000_004.0, limit=10)

    assert await second_store.jobs.get(job.id) is None


async def test_the_log_only_grows(store: Store) -> None:
    """A job's log keeps every entry, in order."""
    job = await store.jobs.submit(make_job())
    lengths = [len(await store.jobs.log(job))]
    for outcome in (LOST, success("outputs/a.png")):
        lease = await store.leases.claim(claim_request())
        assert lease is not None
        await store.leases.finish(lease, outcome, 1_000_001.0)
        lengths.append(len(await store.jobs.log(job)))

    assert sorted(set(lengths)) == lengths


async def test_new_work_notifies_listeners(store: Store, second_store: Store) -> None:
    """A submit in one process notifies listeners in another."""
    async with second_store.subscribe_work() as event:
        await store.jobs.submit(make_job())

        await asyncio.wait_for(event.wait(), timeout=5)


async def test_jobs_are_counted_by_app(store: Store) -> None:
    """Queued and running jobs are counted by app, with the arrival of the oldest queued one."""
    await store.jobs.submit(make_job(submitted_at=1_000_001.0))
    await store.jobs.submit(make_job(submitted_at=1_000_003.0, priority=2))
    await store.jobs.submit(make_job(submitted_at=1_000_002.0, priority=1))
    await store.leases.claim(claim_request())

    counts = await store.queue.counts()

    assert {APP} == set(counts)
    assert (2, 1, 1_000_001.0) == (counts[APP].queued, counts[APP].running, counts[APP].oldest_submitted_at)
