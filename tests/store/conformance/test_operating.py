"""What every store guarantees an operator: pauses, moves to the front, and counts."""

import asyncio
import random

import pytest

from pipelet.domain.capacity.cost_model import Work
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind
from pipelet.domain.ports.store import CompletedCounts, Store
from tests.store.conformance.calls import LOST, claimed, drain
from tests.support.jobs import APP, claim_request, make_job, success


async def test_no_request_of_a_paused_app_starts(store: Store, second_store: Store) -> None:
    """A pause holds for every process from its next claim on, keeps queued jobs, and does not affect other apps."""
    job, other = await store.jobs.submit(make_job()), await store.jobs.submit(make_job(app="other"))

    await store.queue.pause(APP, 1_000_001.0)
    await store.queue.pause(APP, 1_000_002.0)
    late = await store.jobs.submit(make_job())

    assert {APP: 1_000_001.0} == await second_store.queue.paused()
    assert [other.id] == await drain(second_store, APP, "other")
    assert await second_store.queue.resume(APP)
    assert not await second_store.queue.resume(APP)
    assert {} == await store.queue.paused()
    assert [job.id, late.id] == await drain(store, APP, "other")


async def test_resuming_notifies_workers(store: Store, second_store: Store) -> None:
    """Resuming an app notifies idle workers."""
    await store.queue.pause(APP, 1_000_001.0)
    await store.jobs.submit(make_job())
    async with second_store.subscribe_work() as event:
        await asyncio.sleep(0)
        event.clear()
        await store.queue.resume(APP)

        await asyncio.wait_for(event.wait(), timeout=5)


async def test_a_request_moved_to_the_front_is_next(store: Store) -> None:
    """A moved request starts before all queued requests, also of other apps and at the highest priority; the last one
    moved is first."""
    for priority in (0, 2**31 - 1, 5):
        await store.jobs.submit(make_job(priority=priority))
    await store.jobs.submit(make_job(app="other", priority=2**31 - 1))
    first, second = await store.jobs.submit(make_job(priority=-(2**31))), await store.jobs.submit(make_job(app="other"))

    assert await store.queue.move_to_front(first.id, 1_000_001.0)
    assert await store.queue.move_to_front(second.id, 1_000_002.0)

    for place, job in enumerate((second, first)):
        moved = await store.jobs.get(job.id)
        assert moved is not None
        assert place == (await store.queue.work_ahead(moved, [APP, "other"])).requests
    assert [second.id, first.id] == (await drain(store, APP, "other"))[:2]


async def test_places_are_exact_after_moves(store: Store) -> None:
    """After any moves, the work ahead of each queued job is exactly what is claimed before it, in number and in
    work."""
    rng = random.Random(5)
    widths = [rng.choice([64, 512]) for _ in range(60)]
    waiting = [await store.jobs.submit(make_job(priority=rng.choice([-1, 0, 3]), width=width)) for width in widths]
    for job in rng.sample(waiting, 12):
        assert await store.queue.move_to_front(job.id, 1_000_001.0)
    for job in rng.sample(waiting, 12):
        await store.jobs.cancel(job.id, 1_000_002.0)
        waiting.remove(job)
    again = await claimed(store)
    await store.leases.finish(again, LOST, 1_000_003.0)
    now = {job.id: found for job in waiting if (found := await store.jobs.get(job.id))}
    places = {job_id: await store.queue.work_ahead(job, [APP]) for job_id, job in now.items()}

    order, work = await drain(store), Work()

    assert again.job.id == order[0]
    for place, job_id in enumerate(order):
        assert place == places[job_id].requests
        assert pytest.approx(work.amounts()) == places[job_id].work.amounts()
        work += now[job_id].work


async def test_only_queued_requests_can_be_moved(store: Store) -> None:
    """Jobs that run, have ended or do not exist stay as they are."""
    ended, running = await store.jobs.submit(make_job()), await store.jobs.submit(make_job())
    await store.leases.finish(await claimed(store), success("outputs/a.png"), 1_000_001.0)
    await claimed(store)
    before = [await store.jobs.get(job.id) for job in (ended, running)]

    assert [False] * 3 == [await store.queue.move_to_front(at, 1_000_002.0) for at in (ended.id, running.id, "x" * 20)]

    assert before == [await store.jobs.get(job.id) for job in (ended, running)]


async def test_the_log_records_a_move_and_keeps_its_entries(store: Store, second_store: Store) -> None:
    """The first entry keeps the user's own priority, however often the job is moved; other processes see the move at
    once."""
    await store.jobs.submit(make_job(priority=7))
    job = await store.jobs.submit(make_job(priority=1))
    seen = await second_store.jobs.get(job.id)
    assert seen is not None
    before = await store.jobs.log(seen)

    await store.queue.move_to_front(job.id, 1_000_001.0)
    await store.queue.move_to_front(job.id, 1_000_002.0)

    moved = await second_store.jobs.get(job.id)
    assert moved is not None
    assert (7, 1) == (moved.priority, moved.requested_priority)
    after = await store.jobs.log(moved)
    assert before == after[:1]
    assert ["Moved to the front of the queue by the operator."] * 2 == [line.message for line in after[1:]]


async def test_completed_requests_are_counted_by_app(store: Store) -> None:
    """Requests and images that succeeded after a given time count; failed, cancelled and earlier ones do not."""
    for at, app, batch_size in ((5.0, APP, 9), (10.5, APP, 4), (11.0, APP, 1), (11.0, "other", 2)):
        await store.jobs.submit(make_job(app=app, batch_size=batch_size))
        lease = await store.leases.claim(claim_request(app))
        assert lease is not None
        await store.leases.finish(lease, success("outputs/a.png"), at)
    cancelled = await store.jobs.submit(make_job())
    await store.jobs.cancel(cancelled.id, 11.0)
    await store.jobs.submit(make_job())
    await store.leases.finish(await claimed(store), Failed(Failure(FailureKind.INTERNAL, "broken")), 12.0)

    assert {APP: CompletedCounts(2, 5), "other": CompletedCounts(1, 2)} == await store.queue.completed_since(10.0)
