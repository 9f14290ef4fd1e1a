"""What every store guarantees for the queue."""

import asyncio
import random
from dataclasses import replace

import pytest

from pipelet.domain.capacity.cost_model import Work, WorkAhead
from pipelet.domain.generation.image import InputImage
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import CancelResult, JobState
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind, Interrupted, Released
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.store import Store
from tests.support.jobs import APP, claim_request, make_job, make_key, success

FAILED = Interrupted(Failure(FailureKind.WORKER_LOST, "The worker was lost."))


async def drain(store: Store, *apps: str) -> list[str]:
    """Claim every job, in order."""
    ids = []
    while lease := await store.leases.claim(claim_request(*apps)):
        ids.append(lease.job.id)
    return ids


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


async def test_a_claim_returns_the_started_job(store: Store) -> None:
    """A claimed job is running, counts its attempt, and has its start time."""
    job = await store.jobs.submit(make_job())

    lease = await store.leases.claim(claim_request(now=1_000_007.0))

    assert lease is not None
    assert (JobState.RUNNING, 1, 1_000_007.0) == (lease.job.state, lease.job.attempt, lease.job.started_at)
    assert lease.job == await store.jobs.get(job.id)


async def test_places_agree_with_the_order_of_claims(store: Store) -> None:
    """For every queued job, the work ahead is exactly what is then claimed before it, in number and in work."""
    rng = random.Random(3)
    jobs = []
    for _ in range(700):  # more than two of the blocks that the store counts by
        spec = {"width": rng.choice([64, 512]), "num_inference_steps": rng.choice([4, 8])}
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
        answers = [(job.id, await second_store.jobs.cancel(job.id, 1_000_001.0)) for job in reversed(jobs)]
        return {job_id for job_id, answer in answers if answer is CancelResult.CANCELLED}

    begun, cancelled = await asyncio.gather(drain(store), cancel_all())

    assert {job.id for job in jobs} == set(begun) | cancelled
    assert not set(begun) & cancelled


async def test_a_late_worker_loses(store: Store) -> None:
    """Once its lease has expired and another worker has the job, no call of the first worker changes anything."""
    job = await store.jobs.submit(make_job())
    late = await store.leases.claim(claim_request(seconds=10))
    assert late is not None
    await store.leases.requeue_expired(1_000_010.0)
    current = await store.leases.claim(claim_request(now=1_000_011.0, worker="w2"))
    assert current is not None

    assert not await store.leases.renew(late, 1_000_099.0)
    assert not await store.leases.report_progress(late, Progress(5, 12))
    assert not await store.files.reserve(late, ["outputs/late.png"])
    assert not await store.leases.finish(late, success("outputs/late.png"), 1_000_012.0)
    assert await store.leases.finish(current, success("outputs/current.png"), 1_000_013.0)
    assert not await store.leases.finish(current, success("outputs/again.png"), 1_000_014.0)

    finished = await store.jobs.get(job.id)
    assert finished is not None
    assert (JobState.SUCCEEDED, ["outputs/current.png"]) == (finished.state, [image.key for image in finished.images])


async def test_an_extended_lease_holds(store: Store) -> None:
    """A lease that is extended does not expire."""
    await store.jobs.submit(make_job())
    lease = await store.leases.claim(claim_request(seconds=10))
    assert lease is not None

    assert await store.leases.renew(lease, 1_000_030.0)

    assert [] == await store.leases.requeue_expired(1_000_029.0)
    assert 1 == len(await store.leases.requeue_expired(1_000_030.0))


async def test_an_interrupted_job_returns_to_its_place(store: Store) -> None:
    """A job whose worker was lost is the first of its priority again, behind higher ones."""
    first, second = await store.jobs.submit(make_job()), await store.jobs.submit(make_job())
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    urgent = await store.jobs.submit(make_job(priority=1))

    assert await store.leases.finish(lease, FAILED, 1_000_002.0)

    again = await store.jobs.get(first.id)
    assert again is not None
    assert (JobState.QUEUED, 1, None, None) == (again.state, again.attempt, again.started_at, again.progress)
    assert 1 == (await store.queue.work_ahead(first, [APP])).requests
    assert [urgent.id, first.id, second.id] == await drain(store)


async def test_the_third_lost_attempt_is_the_last(store: Store) -> None:
    """A job that kills its workers fails after three attempts; only then its user is asked to submit it again."""
    job = await store.jobs.submit(make_job())
    for attempt in (1, 2, 3):
        assert await store.leases.claim(claim_request(now=1_000_000.0 + 20 * attempt)), attempt
        await store.leases.requeue_expired(1_000_000.0 + 20 * attempt + 10)

    failed = await store.jobs.get(job.id)

    assert failed is not None
    assert failed.failure is not None
    assert (JobState.FAILED, FailureKind.WORKER_LOST) == (failed.state, failed.failure.kind)
    assert "The worker of this request was lost. (tried 3 times) Submit the request again." == failed.failure.message
    cut_short = [line.message for line in await store.jobs.log(failed) if line.level == "WARN"]
    assert 2 == len(cut_short)
    assert not any("again" in message for message in cut_short)


async def test_a_release_counts_no_attempt(store: Store) -> None:
    """A worker that shuts down releases its job as if it had never started it."""
    job = await store.jobs.submit(make_job())
    for _ in range(5):
        lease = await store.leases.claim(claim_request())
        assert lease is not None
        assert await store.leases.finish(lease, Released("shutting down"), 1_000_001.0)

    again = await store.jobs.get(job.id)
    assert again is not None
    assert (JobState.QUEUED, 0) == (again.state, again.attempt)


async def test_the_jobs_of_a_dead_worker_return_at_once(store: Store) -> None:
    """The jobs of a worker that is known to be dead return before its leases expire; other workers' jobs do not."""
    dead, alive = await store.jobs.submit(make_job()), await store.jobs.submit(make_job())
    await store.leases.claim(claim_request(worker="dead"))
    await store.leases.claim(claim_request(worker="alive"))

    assert [dead.id] == [job.id for job in await store.leases.requeue_of_worker("dead", 1_000_001.0)]

    states = [job.state for job in (await store.jobs.get(dead.id), await store.jobs.get(alive.id)) if job]
    assert [JobState.QUEUED, JobState.RUNNING] == states


async def test_a_failure_keeps_its_reason(store: Store) -> None:
    """A failed job keeps its reason, and is not retried."""
    job = await store.jobs.submit(make_job())
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    failure = Failure(FailureKind.INVALID_INPUT, "The prompt is too long.")

    assert await store.leases.finish(lease, Failed(failure), 1_000_002.0)

    failed = await store.jobs.get(job.id)
    assert failed is not None
    assert (JobState.FAILED, failure) == (failed.state, failed.failure)
    assert [] == await drain(store)


async def test_progress_never_falls(store: Store) -> None:
    """A late report does not lower the progress."""
    job = await store.jobs.submit(make_job())
    lease = await store.leases.claim(claim_request())
    assert lease is not None

    for done in (3, 7, 5):
        assert await store.leases.report_progress(lease, Progress(done, 12))

    running = await store.jobs.get(job.id)
    assert running is not None
    assert Progress(7, 12) == running.progress
    assert [Progress(7, 12)] == [entry.progress for entry in await store.queue.running([APP])]


async def test_every_change_is_seen_by_others(store: Store, second_store: Store) -> None:
    """A change by one process is visible to another at its next read, however often it has read the job before."""
    job = await store.jobs.submit(make_job())
    seen = [await second_store.jobs.get(job.id)]

    async def note() -> None:
        seen.extend([await second_store.jobs.get(job.id) for _ in range(2)])
        assert seen[-2] == seen[-1] == await store.jobs.get(job.id)
        assert seen[-1] != seen[-3]

    for outcome in (FAILED, Released("stopping"), success("outputs/a.png")):
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
    for outcome in (FAILED, success("outputs/a.png")):
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
