"""What every store guarantees for the limits of keys."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.capacity.cost_model import Work, WorkAhead
from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind, Released
from pipelet.domain.ports.store import Store
from pipelet.store.queries import QUOTA_SCAN_LIMIT
from tests.store.conformance.calls import LOST, claimed, drain
from tests.support.jobs import APP, claim_request, make_job, make_key, success


async def new_key(store: Store, **limits: Any) -> ApiKey:
    key = make_key(**limits)
    await store.api_keys.add(key)
    return key


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

    responses = await asyncio.gather(
        *((store, second_store)[k % 2].jobs.submit(job) for k, job in enumerate(jobs)), return_exceptions=True
    )

    assert limit == sum(isinstance(response, Job) for response in responses)
    assert len(jobs) - limit == sum(isinstance(response, QuotaExceeded) for response in responses)
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


async def test_limits_of_a_key_can_be_changed(store: Store, second_store: Store) -> None:
    """Jobs counted under the old limits count under the new ones, in all processes; without limits every submit is
    queued."""
    key = await new_key(store, max_queued_images=2)
    await store.jobs.submit(make_job(key=key, batch_size=2))

    assert await second_store.api_keys.update(key.id, {"max_queued_images": 3, "max_running_images": 1})
    found = await store.api_keys.find(key.hash)
    assert found is not None
    assert (3, 1) == (found.max_queued_images, found.max_running_images)
    await store.jobs.submit(make_job(key=found))
    with pytest.raises(QuotaExceeded, match="3 of at most 3"):
        await store.jobs.submit(make_job(key=found))
    assert 1 == len(await drain(store))

    assert await store.api_keys.update(key.id, {"max_queued_images": None, "max_running_images": None})
    await store.jobs.submit(make_job(key=found, batch_size=9))
    assert 2 == len(await drain(second_store))
    assert not await store.api_keys.update("unknown", {"max_queued_images": 1})
