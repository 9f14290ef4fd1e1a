"""What every store guarantees an operator: limits of keys, pauses, drains, and moves to the front."""

import asyncio
import random
from dataclasses import replace

import pytest

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.capacity.cost_model import Work, WorkAhead
from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind, Interrupted, Released
from pipelet.domain.ports.store import CompletedCounts, Store
from pipelet.store.queries import QUOTA_SCAN_LIMIT
from tests.support.jobs import APP, claim_request, make_job, make_key, success

LOST = Interrupted(Failure(FailureKind.WORKER_LOST, "lost"))


async def new_key(store: Store, **limits: int) -> ApiKey:
    key = make_key(**limits)
    await store.api_keys.add(key)
    return key


async def claimed(store: Store, **options: float) -> Lease:
    lease = await store.leases.claim(claim_request(**options))
    assert lease is not None
    return lease


async def drain(store: Store, *apps: str) -> list[str]:
    """Claim every job that may start, in order."""
    ids = []
    while lease := await store.leases.claim(claim_request(*apps)):
        ids.append(lease.job.id)
    return ids


def report(name: str, incarnation: str = "i", **times: float) -> WorkerHeartbeat:
    facts = {"model": "m", "profile": "demo on cpu", "apps": (APP,), "version": "0", "ready": True, "problem": None}
    return WorkerHeartbeat(name=name, incarnation=incarnation, **facts, **{"seen_at": 1.0, "expires_at": 5.0, **times})


async def test_a_job_remembers_its_key(store: Store) -> None:
    """A job reads back with its key, and with whether that key is limited."""
    free, limited = await new_key(store), await new_key(store, max_queued_images=4)

    jobs = [await store.jobs.submit(make_job(key=key)) for key in (free, limited, None)]

    assert jobs == [await store.jobs.get(job.id) for job in jobs]
    assert [(free.id, False), (limited.id, True), (None, False)] == [(job.key_id, job.is_limited) for job in jobs]
    assert [free, limited] == sorted(await store.api_keys.list_keys(), key=lambda key: key.has_limits)


async def test_a_full_key_is_refused_with_its_limit(store: Store) -> None:
    """A batch counts its images; a submit that would exceed the limit leaves nothing behind, and one that just fits is
    queued."""
    key = await new_key(store, max_queued_images=5)
    await store.jobs.submit(make_job(key=key, batch_size=4))
    refused = make_job(key=key, batch_size=2)

    with pytest.raises(QuotaExceeded, match=r"4 of at most 5 wait.* has 2.*cancel"):
        await store.jobs.submit(refused)

    assert await store.jobs.get(refused.id) is None
    await store.jobs.submit(make_job(key=key))
    assert 2 == (await store.queue.counts())[APP].queued


async def test_work_until_a_quota_frees(store: Store) -> None:
    """The work up to the request with which enough of the key's images have started, in the order of claims; images
    that do not count against the limit, or wait for other workers, free no quota."""
    key = await new_key(store, max_queued_images=9)
    jobs = [
        await store.jobs.submit(job)
        for job in (
            make_job(),
            make_job(key=key, batch_size=2, width=512),
            make_job(app="other", width=640),
            make_job(key=key),
            make_job(key=replace(key, max_queued_images=None)),
            make_job(priority=1, width=320),
        )
    ]
    order = [jobs[index] for index in (5, 0, 1, 2, 3)]

    found = [await store.queue.work_until_quota_frees(key.id, images, [APP, "other"]) for images in range(1, 5)]

    first, later = (WorkAhead(before, sum((job.work for job in order[:before]), Work())) for before in (2, 4))
    assert [first, first, later, None] == found
    assert await store.queue.work_until_quota_frees(key.id, 1, ["other"]) is None


async def test_only_the_head_of_a_deep_queue_is_scanned(store: Store) -> None:
    """For a key whose requests are far back in the queue, the work ahead is a lower bound, and still large."""
    key = await new_key(store, max_queued_images=1)
    await asyncio.gather(*(store.jobs.submit(make_job()) for _ in range(QUOTA_SCAN_LIMIT + 10)))
    await store.jobs.submit(make_job(key=key))

    ahead = await store.queue.work_until_quota_frees(key.id, 1, [APP])

    assert ahead is not None
    assert QUOTA_SCAN_LIMIT == ahead.requests


async def test_limits_are_each_keys_own(store: Store) -> None:
    """A full key blocks neither other limited keys nor keys without limits, also of the same user."""
    full, other = await new_key(store, max_queued_images=1), await new_key(store, max_queued_images=1)
    free = await new_key(store)
    await store.jobs.submit(make_job(key=full))

    await store.jobs.submit(make_job(key=other))
    for _ in range(3):
        await store.jobs.submit(make_job(key=free))

    with pytest.raises(QuotaExceeded):
        await store.jobs.submit(make_job(key=full))


@pytest.mark.parametrize("limit", [1, 7])
async def test_racing_submits_never_both_get_the_last_room(store: Store, second_store: Store, limit: int) -> None:
    """Of concurrent submits from two processes, exactly as many are queued as the quota has room for."""
    key = await new_key(store, max_queued_images=limit)
    jobs = [make_job(key=key) for _ in range(30)]

    answers = await asyncio.gather(
        *((store, second_store)[k % 2].jobs.submit(job) for k, job in enumerate(jobs)), return_exceptions=True
    )

    assert limit == sum(isinstance(answer, Job) for answer in answers)
    assert len(jobs) - limit == sum(isinstance(answer, QuotaExceeded) for answer in answers)
    assert limit == (await store.queue.counts())[APP].queued


async def test_room_comes_back_however_a_job_leaves_the_queue(store: Store) -> None:
    """Cancelled, started and ended jobs no longer count as queued; a released job does again."""
    key = await new_key(store, max_queued_images=2)

    async def is_full() -> bool:
        job = make_job(key=key, priority=-1, batch_size=2)
        try:
            await store.jobs.submit(job)
        except QuotaExceeded:
            return True
        await store.jobs.cancel(job.id, 1_000_001.0)
        return False

    cancelled = await store.jobs.submit(make_job(key=key))
    assert await is_full()
    await store.jobs.cancel(cancelled.id, 1_000_001.0)
    assert not await is_full()
    await store.jobs.submit(make_job(key=key))
    assert await is_full()
    lease = await claimed(store)
    assert not await is_full()
    await store.leases.finish(lease, Released("stopping"), 1_000_002.0)
    assert await is_full()
    await store.leases.finish(await claimed(store), LOST, 1_000_003.0)
    assert await is_full()
    await store.leases.finish(await claimed(store), success("outputs/a.png"), 1_000_004.0)
    assert not await is_full()


async def test_a_key_runs_no_more_images_than_it_may(store: Store) -> None:
    """A job that would exceed the limit waits, jobs of others start first, and it starts when there is room."""
    key = await new_key(store, max_running_images=4)
    first = await store.jobs.submit(make_job(key=key, batch_size=3))
    large = await store.jobs.submit(make_job(key=key, batch_size=2))
    small = await store.jobs.submit(make_job(key=key))
    other = await store.jobs.submit(make_job(priority=-5))
    begun = await claimed(store)

    assert first.id == begun.job.id
    assert [True, False, False] == [await store.queue.is_blocked_by_quota(job) for job in (large, small, other)]
    assert [small.id, other.id] == await drain(store)
    await store.leases.finish(begun, success("outputs/a.png"), 1_000_001.0)
    assert not await store.queue.is_blocked_by_quota(large)
    assert [large.id] == await drain(store)


@pytest.mark.parametrize("end", [LOST, Released("stopping"), Failed(Failure(FailureKind.INTERNAL, "broken"))])
async def test_every_end_frees_the_running_quota(store: Store, end: object) -> None:
    """An attempt that fails or is cut short frees quota like one that succeeds."""
    key = await new_key(store, max_running_images=1)
    await store.jobs.submit(make_job(key=key))
    waiting = await store.jobs.submit(make_job(key=key, priority=-1))
    lease = await claimed(store)
    assert await store.leases.claim(claim_request()) is None

    await store.leases.finish(lease, end, 1_000_001.0)  # type: ignore[arg-type]
    await store.jobs.cancel(lease.job.id, 1_000_002.0)

    assert [waiting.id] == await drain(store)


async def test_racing_claims_keep_to_the_limit(store: Store, second_store: Store) -> None:
    """Concurrent claims never start more of a key's images than its limit, and no worker stays idle."""
    key = await new_key(store, max_running_images=3)
    for _ in range(10):
        await store.jobs.submit(make_job(key=key))
    free = [await store.jobs.submit(make_job(priority=-1)) for _ in range(4)]

    leases = await asyncio.gather(*((store, second_store)[k % 2].leases.claim(claim_request()) for k in range(7)))

    begun = [lease.job for lease in leases if lease]
    assert 3 == sum(job.is_limited for job in begun)
    assert {job.id for job in begun if not job.is_limited} <= {job.id for job in free}
    assert 4 == len([job for job in begun if not job.is_limited]) + len(await drain(store))


async def test_room_for_a_full_key_notifies_workers(store: Store, second_store: Store) -> None:
    """The end of a limited key's job notifies idle workers."""
    key = await new_key(store, max_running_images=1)
    await store.jobs.submit(make_job(key=key))
    lease = await claimed(store)
    async with second_store.subscribe_work() as event:
        await asyncio.sleep(0)
        event.clear()
        await store.leases.finish(lease, success("outputs/a.png"), 1_000_001.0)

        await asyncio.wait_for(event.wait(), timeout=5)


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
    sizes = [{"width": rng.choice([64, 512])} for _ in range(60)]
    waiting = [await store.jobs.submit(make_job(priority=rng.choice([-1, 0, 3]), **size)) for size in sizes]
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


async def test_a_worker_learns_of_its_drain_when_it_reports(store: Store, second_store: Store) -> None:
    """A worker learns of its drain with its next heartbeat and each later one, and other processes see it."""
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(report("w1"))
    await store.workers.heartbeat(report("w2"))

    assert await second_store.workers.drain("w1", 2.0)

    assert [True, False] == [worker.draining for worker in await store.workers.live(2.0)]
    assert HeartbeatReply.DRAIN == await store.workers.heartbeat(report("w1", seen_at=3.0, expires_at=8.0))
    assert HeartbeatReply.DRAIN == await store.workers.heartbeat(report("w1", seen_at=4.0, expires_at=9.0))
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(report("w2", seen_at=4.0, expires_at=9.0))


async def test_only_live_workers_can_be_drained(store: Store) -> None:
    """A worker whose heartbeat has expired, and one that never was, are unknown."""
    await store.workers.heartbeat(report("w1"))

    assert not await store.workers.drain("w1", 5.0)
    assert not await store.workers.drain("w2", 2.0)


async def test_limits_of_a_key_can_be_changed(store: Store, second_store: Store) -> None:
    """Jobs counted under the old limits count under the new ones, in all processes; without limits every submit is
    queued."""
    key = await new_key(store, max_queued_images=2)
    await store.jobs.submit(make_job(key=key, batch_size=2))

    assert await second_store.api_keys.set_limits(key.id, {"max_queued_images": 3, "max_running_images": 1})
    found = await store.api_keys.find(key.hash)
    assert found is not None
    assert (3, 1) == (found.max_queued_images, found.max_running_images)
    await store.jobs.submit(make_job(key=found))
    with pytest.raises(QuotaExceeded, match="3 of at most 3"):
        await store.jobs.submit(make_job(key=found))
    assert 1 == len(await drain(store))

    assert await store.api_keys.set_limits(key.id, {"max_queued_images": None, "max_running_images": None})
    await store.jobs.submit(make_job(key=found, batch_size=9))
    assert 2 == len(await drain(second_store))
    assert not await store.api_keys.set_limits("unknown", {"max_queued_images": 1})


async def test_a_name_belongs_to_one_process_at_a_time(store: Store, second_store: Store) -> None:
    """While a worker reports, another process with its name is refused and changes nothing; once its last report has
    expired, the name belongs to the other, and the first is refused."""
    first, late = report("w1", "first"), report("w1", "first", seen_at=6.0, expires_at=11.0)
    await store.workers.heartbeat(first)

    assert HeartbeatReply.NAME_TAKEN == await second_store.workers.heartbeat(report("w1", "other", seen_at=4.9))
    assert [first] == await store.workers.live(2.0)

    other = report("w1", "other", seen_at=5.0, expires_at=9.0)
    assert HeartbeatReply.CONTINUE == await second_store.workers.heartbeat(other)
    assert HeartbeatReply.NAME_TAKEN == await store.workers.heartbeat(late)
    assert [other] == await store.workers.live(5.0)


async def test_one_of_several_processes_gets_a_name(store: Store, second_store: Store) -> None:
    """Of processes that start together under one name, exactly one gets it."""
    stores = [store, second_store] * 4
    answers = await asyncio.gather(*(each.workers.heartbeat(report("w1", str(k))) for k, each in enumerate(stores)))

    assert [HeartbeatReply.CONTINUE] == [answer for answer in answers if answer is not HeartbeatReply.NAME_TAKEN]


async def test_a_worker_frees_only_its_own_name(store: Store) -> None:
    """A name is free at once if its worker has deregistered or is known to be dead; no other worker can free it."""
    await store.workers.heartbeat(report("w1", "first"))
    await store.workers.deregister("w1", "other")
    assert HeartbeatReply.NAME_TAKEN == await store.workers.heartbeat(report("w1", "other", seen_at=2.0))

    await store.workers.deregister("w1", "first")
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(report("w1", "other", seen_at=2.0))

    await store.leases.requeue_of_worker("w1", 3.0)
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(report("w1", "third", seen_at=3.0))


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
