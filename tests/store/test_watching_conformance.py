"""What every store promises those who watch many requests at once."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from pipelet.domain.estimate import Work
from pipelet.domain.job import Job, Lease
from pipelet.domain.outcome import Failure, FailureKind, Interrupted
from pipelet.domain.ports import JobStore
from pipelet.domain.progress import Progress
from tests.jobs import APP, make_job, make_key, success, wanting


async def claimed(store: JobStore) -> Lease:
    lease = await store.claim(wanting())
    assert lease is not None
    return lease


async def test_many_jobs_are_read_at_once(store: JobStore) -> None:
    """Each as it is when read alone; ids that are not there are left out."""
    jobs = [await store.submit(make_job(batch_size=1 + k)) for k in range(3)]
    await claimed(store)
    ids = [job.id for job in jobs]

    many = await store.get_many([*ids, "x" * 20])

    assert {job_id: await store.get(job_id) for job_id in ids} == many
    assert {} == await store.get_many([]) == await store.versions([])


async def test_a_version_changes_whenever_its_job_does(store: JobStore, second_store: JobStore) -> None:
    """From submit to end every change shows, also those that another process made, and every line of the log counts."""
    job, other = await store.submit(make_job()), await store.submit(make_job(priority=-1))
    broken = Interrupted(Failure(FailureKind.WORKER_LOST, "The worker was lost."))
    versions = []

    async def note() -> None:
        found = await second_store.versions([job.id, "x" * 20])
        assert {job.id} == set(found)
        assert len(await store.log(job)) == found[job.id].lines
        versions.append(found[job.id])

    await note()
    await store.move_to_front(job.id, 1_000_000.5)
    await note()
    for outcome in (broken, success("outputs/a.png")):
        lease = await claimed(store)
        await note()
        for done in (0, 5):
            await store.report_progress(lease, Progress(done, 12))
            await note()
        await store.finish(lease, outcome, 1_000_002.0)
        await note()

    assert len(set(versions)) == len(versions)
    assert (await store.versions([other.id]))[other.id] == (await store.versions([other.id, job.id]))[other.id]


async def test_places_of_many_are_the_places_of_each(store: JobStore) -> None:
    """In one query as one by one: over apps and priorities, with gaps, moves and whole runs of arrivals before them."""
    rng = random.Random(3)
    apps, jobs = (APP, "other"), []
    for _ in range(120):
        app, priority = rng.choice((*apps, "elsewhere")), rng.choice((0, 0, 0, 7, -5))
        jobs.append(await store.submit(make_job(app=app, priority=priority, num_inference_steps=rng.randint(1, 9))))
    for job in rng.sample(jobs, 30):
        await store.cancel(job.id, 1_000_001.0)
    for job in rng.sample(jobs, 4):
        await store.move_to_front(job.id, 1_000_001.0)
    await claimed(store)
    every = await store.get_many([job.id for job in jobs])
    watched = rng.sample([job for job in every.values() if job.app in apps], 40)

    places = await store.ahead_of_many(watched, apps)

    waiting = {job.id: job for job in watched if job.state == "queued"}
    assert 0 < len(waiting) < len(watched)
    assert waiting.keys() == places.keys()
    for job_id, ahead in places.items():
        alone = await store.ahead(waiting[job_id], apps)
        assert alone.requests == ahead.requests
        assert flat(alone.work) == pytest.approx(flat(ahead.work))
    assert {} == await store.ahead_of_many([], apps)


def flat(work: Work) -> list[float]:
    return [work.requests, work.steps, work.megapixels, work.megapixel_steps, work.attention]


async def test_a_listener_hears_of_every_change(store: JobStore, second_store: JobStore) -> None:
    """Whatever a status or a stream tells of: each change in one process wakes whoever listens in another."""
    key = make_key()
    await store.add_key(key)
    leases: list[Lease] = []
    job = await store.submit(make_job())
    last, later = make_job(priority=-1), make_job()

    async def claim() -> None:
        leases.append(await claimed(store))

    async def abandon() -> list[Job]:
        return await store.abandon("w1", 1_000_000.0)

    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: store.submit(last),
        lambda: store.pause(APP, 1_000_000.0),
        lambda: store.resume(APP),
        lambda: store.move_to_front(job.id, 1_000_000.0),
        claim,
        lambda: store.report_progress(leases[-1], Progress(1, 12)),
        abandon,
        claim,
        lambda: store.finish(leases[-1], success("outputs/a.png"), 1_000_001.0),
        lambda: store.cancel(last.id, 1_000_002.0),
        lambda: store.revoke_key(key.id, 1_000_002.0),
        lambda: store.submit(later),
        lambda: store.cancel_queued([later.id], 1_000_003.0),
    ]
    async with second_store.changes() as event:
        await asyncio.sleep(0)
        for change in changes:
            event.clear()
            await change()
            await asyncio.wait_for(event.wait(), timeout=5)
