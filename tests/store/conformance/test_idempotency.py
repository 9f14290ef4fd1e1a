"""What every store guarantees about repeated submits."""

import asyncio

import pytest

from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import DAY, NOW, claimed
from tests.support.jobs import APP, make_job, make_key


def once(job: Job, *, key: str = "k", fingerprint: str = "f", user: str = "ann") -> IdempotencyKey:
    return IdempotencyKey(user=user, key=key, fingerprint=fingerprint, job_id=job.id, expires_at=job.submitted_at + DAY)


async def test_a_key_stands_for_the_first_request(store: Store, second_store: Store) -> None:
    """A later submit with the key, in any process, is not queued: the first request is returned."""
    first, second = make_job(), make_job()

    assert once(first) == await store.jobs.submit_once(first, once(first))
    assert once(first) == await second_store.jobs.submit_once(second, once(second, fingerprint="other"))

    assert 1 == (await store.queue.counts())[APP].queued
    assert await store.jobs.get(second.id) is None
    assert once(first) == await second_store.jobs.find_idempotency_key("ann", "k", NOW)
    assert await store.jobs.find_idempotency_key("ann", "other", NOW) is None


async def test_a_key_is_its_users_own(store: Store) -> None:
    """Two users may have the same key, for two requests."""
    for user in ("ann", "bob"):
        job = make_job(user=user)
        assert once(job, user=user) == await store.jobs.submit_once(job, once(job, user=user))

    assert 2 == (await store.queue.counts())[APP].queued


async def test_racing_submits_with_one_key_make_one_request(store: Store, second_store: Store) -> None:
    """Of concurrent submits with one key, from two processes, one is queued, and all get the same result."""
    for k in range(20):
        jobs = [make_job(priority=place % 3) for place in range(8)]

        responses = await asyncio.gather(
            *(
                (store, second_store)[place % 2].jobs.submit_once(job, once(job, key=str(k)))
                for place, job in enumerate(jobs)
            )
        )

        [job_id] = {response.job_id for response in responses}
        assert [job_id] == [job.id for job in jobs if await store.jobs.get(job.id)]
    assert 20 == (await store.queue.counts())[APP].queued


async def test_a_key_is_free_again_after_a_day(store: Store) -> None:
    """An expired key stands for the next request, also before it is deleted; deletion is bounded."""
    first = make_job()
    await store.jobs.submit_once(first, once(first))
    for key in ("a", "b", "c"):
        job = make_job()
        await store.jobs.submit_once(job, once(job, key=key))
    assert 0 == await store.jobs.delete_idempotency_keys(NOW + DAY - 1, 10)

    later = make_job(submitted_at=NOW + DAY)
    assert later.id == (await store.jobs.submit_once(later, once(later))).job_id

    assert [2, 1, 0] == [await store.jobs.delete_idempotency_keys(NOW + DAY, 2) for _ in range(3)]
    assert await store.jobs.find_idempotency_key("ann", "k", NOW + DAY) == once(later)


async def test_a_refused_submit_leaves_the_key_free(store: Store) -> None:
    """A submit that a full API key refuses leaves the idempotency key free; a repeated submit returns its request even
    if the API key is full."""
    api_key = make_key(max_queued_images=1)
    await store.api_keys.add(api_key)
    first, refused = make_job(key=api_key), make_job(key=api_key)
    await store.jobs.submit_once(first, once(first, key="first"))

    with pytest.raises(QuotaExceeded):
        await store.jobs.submit_once(refused, once(refused))
    again = make_job(key=api_key)
    assert first.id == (await store.jobs.submit_once(again, once(again, key="first"))).job_id

    await claimed(store)
    assert refused.id == (await store.jobs.submit_once(refused, once(refused))).job_id
