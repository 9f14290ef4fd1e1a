"""What every store guarantees for a submit of a user with limits: the rules of the domain decide what is charged."""

import asyncio
import math
from random import Random

import pytest

from pipelet.domain.accounts.limits import UserLimitChanges
from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import NOW
from tests.support.jobs import APP, claim_request, make_job, make_key, success

TIMES = [NOW + seconds for seconds in (-3600, -10.5, -10, -1, 0, 0.3, 2, 10, 10.5, 3600)]
"""Around the seconds by which the clocks of processes may differ."""


def random_limits(random: Random, stored_bytes: int) -> UserLimitChanges:
    return {
        "max_queued_images": random.choice([None, 2, 3, 4]),
        "max_submits_per_second": random.choice([None, 0.001, 1 / 3, 0.5, 10.0]),
        "submit_burst": random.randint(1, 3),
        "max_stored_bytes": random.choice([None, None, stored_bytes, stored_bytes + 10]),
    }


async def finish_one(store: Store, key: str) -> None:
    """End a waiting request, if there is one, with a file of 10 bytes."""
    if lease := await store.leases.claim(claim_request()):
        await store.files.reserve(lease, [key])
        assert await store.leases.finish(lease, success(key), NOW)


async def submit(store: Store, job: Job) -> QuotaExceeded | None:
    try:
        await store.jobs.submit(job)
    except QuotaExceeded as refusal:
        return refusal
    return None


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_submit_is_charged_where_the_rules_have_room(store: Store, seed: int) -> None:
    """One token, and the images of the request, also after a clock was set back. Where they have none, the refusal is
    that of the rules, and nothing changes."""
    random, refused = Random(seed), 0
    key = make_key(user_limits=await store.limits.change("ann", {"max_queued_images": 4}))
    await store.api_keys.add(key)
    for number in range(60):
        if random.random() < 0.2:
            await store.limits.change("ann", random_limits(random, (await store.limits.quota("ann")).stored_bytes))
        if random.random() < 0.3:
            await finish_one(store, f"outputs/{number}.png")
        now, images = random.choice(TIMES), random.randint(1, 2)
        before = await store.limits.quota("ann")
        expected = before.refusal(images, now)

        refusal = await submit(store, make_job(key=key, submitted_at=now, batch_size=images))

        after = await store.limits.quota("ann")
        assert repr(expected) == repr(refusal)
        if refusal is not None:
            refused += 1
            assert before == after
            continue
        assert before.queued_images + images == after.queued_images
        if before.limits.max_submits_per_second is not None:
            assert before.tokens(now) - 1 == after.tokens(now)
    assert 0 < refused < 60


async def test_no_request_is_queued_without_a_charge(store: Store) -> None:
    """Not even where the arithmetic of a database and that of the rules differ: 0 seconds at an infinite rate."""
    limits = await store.limits.change("ann", {"max_submits_per_second": math.inf, "submit_burst": 9})
    key = make_key(user_limits=limits)
    await store.api_keys.add(key)

    responses = await asyncio.gather(*(store.jobs.submit(make_job(key=key)) for _ in range(3)), return_exceptions=True)

    queued = (await store.queue.counts())[APP].queued
    assert queued > 0
    assert queued == sum(isinstance(response, Job) for response in responses)
    assert queued == (await store.limits.quota("ann")).queued_images
