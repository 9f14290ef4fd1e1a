"""What every store guarantees for leases and attempts."""

from pipelet.domain.jobs.job import JobState
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind, Released
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import LOST, drain
from tests.support.jobs import APP, claim_request, make_job, success


async def test_a_claim_returns_the_started_job(store: Store) -> None:
    """A claimed job is running, counts its attempt, and has its start time."""
    job = await store.jobs.submit(make_job())

    lease = await store.leases.claim(claim_request(now=1_000_007.0))

    assert lease is not None
    assert (JobState.RUNNING, 1, 1_000_007.0) == (lease.job.state, lease.job.attempt, lease.job.started_at)
    assert lease.job == await store.jobs.get(job.id)


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

    assert await store.leases.finish(lease, LOST, 1_000_002.0)

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
