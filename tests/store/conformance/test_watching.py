"""What every store guarantees to watchers of many requests."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from pipelet.domain.capacity.cost_model import Work
from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import Failure, FailureKind, Interrupted
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import claimed
from tests.support.jobs import APP, make_job, make_key, success


async def test_many_jobs_are_read_at_once(store: Store) -> None:
    """Each job is the same as when read alone; unknown ids are left out."""
    jobs = [await store.jobs.submit(make_job(batch_size=1 + k)) for k in range(3)]
    await claimed(store)
    ids = [job.id for job in jobs]

    many = await store.jobs.get_many([*ids, "x" * 20])

    assert {job_id: await store.jobs.get(job_id) for job_id in ids} == many
    assert {} == await store.jobs.get_many([])
    assert {} == await store.jobs.revisions([])


async def test_a_revision_changes_whenever_its_job_does(store: Store, second_store: Store) -> None:
    """From submit to end every change gives a new revision, also changes by another process, and every log entry
    counts."""
    job, other = await store.jobs.submit(make_job()), await store.jobs.submit(make_job(priority=-1))
    broken = Interrupted(Failure(FailureKind.WORKER_LOST, "The worker was lost."))
    revisions = []

    async def note() -> None:
        found = await second_store.jobs.revisions([job.id, "x" * 20])
        assert {job.id} == set(found)
        assert len(await store.jobs.log(job)) == found[job.id].lines
        revisions.append(found[job.id])

    await note()
    await store.queue.move_to_front(job.id, 1_000_000.5)
    await note()
    for outcome in (broken, success("outputs/a.png")):
        lease = await claimed(store)
        await note()
        for done in (0, 5):
            await store.leases.report_progress(lease, Progress(done, 12))
            await note()
        await store.leases.finish(lease, outcome, 1_000_002.0)
        await note()

    assert len(set(revisions)) == len(revisions)
    assert (await store.jobs.revisions([other.id]))[other.id] == (await store.jobs.revisions([other.id, job.id]))[
        other.id
    ]


async def test_positions_of_many_are_the_positions_of_each(store: Store) -> None:
    """Positions in one query equal those one by one: over apps and priorities, with gaps, moves and whole blocks before
    them."""
    rng = random.Random(3)
    apps, jobs = (APP, "other"), []
    for _ in range(120):
        app, priority = rng.choice((*apps, "elsewhere")), rng.choice((0, 0, 0, 7, -5))
        jobs.append(
            await store.jobs.submit(make_job(app=app, priority=priority, num_inference_steps=rng.randint(1, 9)))
        )
    for job in rng.sample(jobs, 30):
        await store.jobs.cancel(job.id, 1_000_001.0)
    for job in rng.sample(jobs, 4):
        await store.queue.move_to_front(job.id, 1_000_001.0)
    await claimed(store)
    every = await store.jobs.get_many([job.id for job in jobs])
    watched = rng.sample([job for job in every.values() if job.app in apps], 40)

    places = await store.queue.work_ahead_many(watched, apps)

    waiting = {job.id: job for job in watched if job.state == "queued"}
    assert 0 < len(waiting) < len(watched)
    assert waiting.keys() == places.keys()
    for job_id, ahead in places.items():
        alone = await store.queue.work_ahead(waiting[job_id], apps)
        assert alone.requests == ahead.requests
        assert flat(alone.work) == pytest.approx(flat(ahead.work))
    assert {} == await store.queue.work_ahead_many([], apps)


def flat(work: Work) -> list[float]:
    return [work.requests, work.steps, work.megapixels, work.megapixel_steps, work.attention]


async def test_every_change_notifies_listeners(store: Store, second_store: Store) -> None:
    """Each change that a status or a stream shows notifies listeners in another process."""
    key = make_key()
    await store.api_keys.add(key)
    leases: list[Lease] = []
    job = await store.jobs.submit(make_job())
    last, later = make_job(priority=-1), make_job()

    async def claim() -> None:
        leases.append(await claimed(store))

    async def requeue_of_worker() -> list[Job]:
        return await store.leases.requeue_of_worker("w1", 1_000_000.0)

    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: store.jobs.submit(last),
        lambda: store.queue.pause(APP, 1_000_000.0),
        lambda: store.queue.resume(APP),
        lambda: store.queue.move_to_front(job.id, 1_000_000.0),
        claim,
        lambda: store.leases.report_progress(leases[-1], Progress(1, 12)),
        requeue_of_worker,
        claim,
        lambda: store.leases.finish(leases[-1], success("outputs/a.png"), 1_000_001.0),
        lambda: store.jobs.cancel(last.id, 1_000_002.0),
        lambda: store.api_keys.revoke(key.id, 1_000_002.0),
        lambda: store.jobs.submit(later),
        lambda: store.queue.cancel_queued([later.id], 1_000_003.0),
    ]
    async with second_store.subscribe_changes() as event:
        await asyncio.sleep(0)
        for change in changes:
            event.clear()
            await change()
            await asyncio.wait_for(event.wait(), timeout=5)
