"""What every store guarantees for the limits of users, which all keys of a user share."""

import asyncio
from dataclasses import replace

import pytest

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.accounts.limits import NO_LIMITS, Refusal, UserLimitChanges, UserLimits
from pipelet.domain.errors import QuotaExceeded, SubmitRateExceeded
from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import Released
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import LOST, NOW, claimed, drain
from tests.support.jobs import APP, claim_request, make_job, make_key, success


async def limited(store: Store, **changes: object) -> ApiKey:
    """Limit the user `ann`, and return one of her keys."""
    limits = await store.limits.change("ann", UserLimitChanges(**changes))  # type: ignore[typeddict-item]
    key = make_key(user_limits=limits)
    await store.api_keys.add(key)
    return key


async def race(stores: tuple[Store, Store], jobs: list[Job]) -> list[Job | BaseException]:
    """Submit from two processes at once."""
    submits = (stores[k % 2].jobs.submit(job) for k, job in enumerate(jobs))
    return await asyncio.gather(*submits, return_exceptions=True)


async def test_a_change_names_only_what_it_changes(store: Store, second_store: Store) -> None:
    """What is absent stays, and None lifts a limit, for all processes; a user whose limits were never set has none."""
    assert NO_LIMITS == await store.limits.get("ann")
    await store.limits.change("ann", {"max_queued_images": 5, "max_submits_per_second": 0.5, "submit_burst": 3})
    await store.limits.change("ann", {"max_stored_bytes": 2**40, "max_priority": -7})
    await second_store.limits.change("ann", {"max_queued_images": None, "max_webhooks_per_minute": 60})

    expected = UserLimits(
        max_priority=-7,
        max_submits_per_second=0.5,
        submit_burst=3,
        max_stored_bytes=2**40,
        max_webhooks_per_minute=60,
    )
    assert expected == await store.limits.get("ann")
    assert NO_LIMITS == await store.limits.get("bob")


async def test_all_keys_of_a_user_share_the_limit(store: Store) -> None:
    """A second key brings no more room; other users, and jobs to which the limit does not apply, are not counted."""
    first = await limited(store, max_queued_images=5)
    second = await limited(store)
    await store.jobs.submit(make_job(key=first, batch_size=3))
    await store.jobs.submit(make_job(batch_size=9))
    await store.jobs.submit(replace(make_job(key=first, batch_size=9), user="bob"))

    with pytest.raises(QuotaExceeded, match=r"your user is reached: 3 of at most 5 wait.* has 3") as refused:
        await store.jobs.submit(make_job(key=second, batch_size=3))

    assert refused.value.is_of_user
    assert 1 == refused.value.excess
    assert await store.jobs.submit(make_job(key=second, batch_size=2))
    assert 5 == (await store.limits.quota("ann")).queued_images


async def test_a_key_may_be_limited_more_narrowly(store: Store) -> None:
    """The narrower limit decides, and what one of the two refuses counts for neither."""
    wide = await limited(store, max_queued_images=4)
    narrow = make_key(user_limits=wide.user_limits, max_queued_images=2)
    await store.api_keys.add(narrow)

    with pytest.raises(QuotaExceeded, match="this key is reached: 0 of at most 2"):
        await store.jobs.submit(make_job(key=narrow, batch_size=3))
    await store.jobs.submit(make_job(key=wide, batch_size=3))
    with pytest.raises(QuotaExceeded, match="your user is reached: 3 of at most 4"):
        await store.jobs.submit(make_job(key=narrow, batch_size=2))
    await store.jobs.submit(make_job(key=narrow))

    assert 4 == (await store.limits.quota("ann")).queued_images


@pytest.mark.parametrize("limit", [1, 7])
async def test_racing_submits_are_counted_exactly(store: Store, second_store: Store, limit: int) -> None:
    """Of concurrent submits from two processes with two keys, exactly as many are queued as there is room for."""
    keys = [await limited(store, max_queued_images=limit), await limited(store)]

    responses = await race((store, second_store), [make_job(key=keys[k // 2 % 2]) for k in range(30)])

    assert limit == sum(isinstance(response, Job) for response in responses)
    assert 30 - limit == sum(isinstance(response, QuotaExceeded) for response in responses)
    assert limit == (await store.queue.counts())[APP].queued == (await store.limits.quota("ann")).queued_images


async def test_room_comes_back_however_a_job_leaves_the_queue(store: Store) -> None:
    """Cancelled, expired and started jobs no longer count as queued; a released or requeued one does again."""
    key = await limited(store, max_queued_images=9)

    async def queued() -> int:
        return (await store.limits.quota("ann")).queued_images

    cancelled = await store.jobs.submit(make_job(key=key, batch_size=2))
    await store.jobs.submit(replace(make_job(key=key, batch_size=3), start_deadline=NOW + 1))
    await store.jobs.submit(make_job(key=key, batch_size=4))
    assert 9 == await queued()
    await store.jobs.cancel(cancelled.id, NOW)
    assert 7 == await queued()
    assert 1 == await store.jobs.expire_overdue(NOW + 2, 10)
    assert 4 == await queued()
    lease = await claimed(store)
    assert 0 == await queued()
    await store.leases.finish(lease, Released("stopping"), NOW)
    assert 4 == await queued()
    await store.leases.finish(await claimed(store), LOST, NOW)
    assert 4 == await queued()
    await store.leases.finish(await claimed(store), success("outputs/a.png"), NOW)
    assert 0 == await queued()


async def test_a_burst_is_taken_at_once_and_then_the_rate_holds(store: Store) -> None:
    """After the burst a submit is refused with the seconds until the next token; a refusal takes none."""
    key = await limited(store, max_submits_per_second=0.5, submit_burst=3)

    async def tokens(at: float) -> float:
        return (await store.limits.quota("ann")).tokens(at)

    async def submit(at: float) -> None:
        await store.jobs.submit(make_job(key=key, submitted_at=at))

    for _ in range(3):
        await submit(NOW)
    for at, wait in ((NOW, 2.0), (NOW + 0.5, 1.5), (NOW + 1.5, 0.5)):
        with pytest.raises(SubmitRateExceeded, match=r"faster than 0\.5 requests a second .* bursts of 3") as refused:
            await submit(at)
        assert refused.value.retry_after == pytest.approx(wait)
    await submit(NOW + 2)
    with pytest.raises(SubmitRateExceeded):
        await submit(NOW + 3)
    assert 3.0 == await tokens(NOW + 60)
    for _ in range(3):
        await submit(NOW + 60)
    with pytest.raises(SubmitRateExceeded):
        await submit(NOW + 60)


async def test_racing_submits_never_take_the_same_token(store: Store, second_store: Store) -> None:
    """Concurrent submits of two processes, whose clocks differ by milliseconds, take the tokens of a burst once."""
    key = await limited(store, max_submits_per_second=0.001, submit_burst=7)

    responses = await race(
        (store, second_store), [make_job(key=key, submitted_at=NOW - k % 2 / 100) for k in range(30)]
    )

    assert 7 == sum(isinstance(response, Job) for response in responses)
    assert 23 == sum(isinstance(response, SubmitRateExceeded) for response in responses)


async def test_a_clock_that_is_set_back_blocks_nobody(store: Store) -> None:
    """The bucket is full then, and the rate holds from the new time on; a few seconds back bring no token."""
    key = await limited(store, max_submits_per_second=1.0, submit_burst=2)
    for _ in range(2):
        await store.jobs.submit(make_job(key=key, submitted_at=NOW))
    with pytest.raises(SubmitRateExceeded):
        await store.jobs.submit(make_job(key=key, submitted_at=NOW - 5))

    for _ in range(2):
        await store.jobs.submit(make_job(key=key, submitted_at=NOW - 3600))
    with pytest.raises(SubmitRateExceeded) as refused:
        await store.jobs.submit(make_job(key=key, submitted_at=NOW - 3600))
    assert 1.0 == refused.value.retry_after
    await store.jobs.submit(make_job(key=key, submitted_at=NOW - 3599))


async def test_a_new_rate_begins_with_a_full_bucket(store: Store) -> None:
    """Raising or lowering the rate lets a user submit at once; other changes leave the bucket as it is."""
    key = await limited(store, max_submits_per_second=0.001, submit_burst=1)
    await store.jobs.submit(make_job(key=key))
    await store.limits.change("ann", {"max_priority": 3})
    with pytest.raises(SubmitRateExceeded):
        await store.jobs.submit(make_job(key=key))

    await store.limits.change("ann", {"submit_burst": 2})

    for _ in range(2):
        await store.jobs.submit(make_job(key=key))
    await store.limits.change("ann", {"max_submits_per_second": None})
    for _ in range(5):
        await store.jobs.submit(make_job(key=key))


async def test_a_replay_takes_nothing(store: Store) -> None:
    """A repeated submit with the same idempotency key is returned while the user's bucket and queue are full, and a
    refused one leaves its key free."""
    key = await limited(store, max_queued_images=1, max_submits_per_second=0.001, submit_burst=1)
    first, second = make_job(key=key), make_job(key=key)

    def known(job: Job, name: str = "k") -> IdempotencyKey:
        return IdempotencyKey(user="ann", key=name, fingerprint="f", job_id=job.id, expires_at=NOW + 60)

    assert first.id == (await store.jobs.submit_once(first, known(first))).job_id
    assert first.id == (await store.jobs.submit_once(second, known(second))).job_id
    with pytest.raises(QuotaExceeded):
        await store.jobs.submit_once(second, known(second, "other"))

    assert await store.jobs.find_idempotency_key("ann", "other", NOW) is None
    assert 1 == (await store.limits.quota("ann")).queued_images


async def test_a_user_runs_no_more_images_than_allowed(store: Store) -> None:
    """A job of any key that would exceed the limit waits, others start first, and it starts when there is room."""
    first_key = await limited(store, max_running_images=4)
    second_key = await limited(store)
    first = await store.jobs.submit(make_job(key=first_key, batch_size=3))
    large = await store.jobs.submit(make_job(key=second_key, batch_size=2))
    small = await store.jobs.submit(make_job(key=second_key))
    other = await store.jobs.submit(replace(make_job(priority=-5), user="bob"))
    begun = await claimed(store)

    assert first.id == begun.job.id
    assert [True, False, False] == [await store.queue.is_blocked_by_quota(job) for job in (large, small, other)]
    assert [small.id, other.id] == await drain(store)
    assert 4 == (await store.limits.quota("ann")).running_images
    await store.leases.finish(begun, success("outputs/a.png"), NOW)
    assert 1 == (await store.limits.quota("ann")).running_images
    assert [large.id] == await drain(store)


async def test_racing_claims_keep_to_the_users_limit(store: Store, second_store: Store) -> None:
    """Concurrent claims of two processes never start more of a user's images than allowed, whichever key has them."""
    keys = [await limited(store, max_running_images=3), await limited(store)]
    for k in range(10):
        await store.jobs.submit(make_job(key=keys[k % 2]))
    for _ in range(4):
        await store.jobs.submit(replace(make_job(priority=-1), user="bob"))

    leases = await asyncio.gather(*((store, second_store)[k % 2].leases.claim(claim_request()) for k in range(7)))

    begun = [lease.job for lease in leases if lease]
    assert 3 == sum(job.user == "ann" for job in begun) == (await store.limits.quota("ann")).running_images
    assert 4 == sum(job.user == "bob" for job in begun) + len(await drain(store))


async def test_work_until_a_users_quota_frees(store: Store) -> None:
    """The work up to the request with which enough of the user's images have started, whichever key has them."""
    keys = [await limited(store, max_queued_images=9), await limited(store)]
    for job in (make_job(user="bob"), make_job(key=keys[0]), make_job(user="bob"), make_job(key=keys[1])):
        await store.jobs.submit(job)

    found = [await store.queue.work_until_quota_frees(None, images, [APP], user="ann") for images in (1, 2, 3)]

    assert [1, 3, None] == [None if ahead is None else ahead.requests for ahead in found]


async def test_refusals_are_added_up(store: Store, second_store: Store) -> None:
    """By user, day and reason, from all processes; old days can be deleted."""
    today, before = Refusal("2026-11-30", "ann", "storage"), Refusal("2026-11-29", "bob", "submit_rate")
    await store.limits.add_refusals(today, 2)
    await second_store.limits.add_refusals(today, 3)
    await store.limits.add_refusals(before, 1)

    assert {today: 5, before: 1} == await store.limits.refusals("2026-11-29")
    assert {today: 5} == await store.limits.refusals("2026-11-29", user="ann")
    await store.limits.delete_refusals("2026-11-30")
    assert {today: 5} == await store.limits.refusals("2026-01-01")
