"""What every store guarantees an operator who cancels requests of users or changes their keys."""

import asyncio
import random

from pipelet.domain.jobs.job import CancelResult, JobState
from pipelet.domain.jobs.outcome import CancelledBy
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks.delivery import Webhook
from tests.support.jobs import claim_request, make_job, make_key

HOOK = Webhook("https://example.com/hook", "example.com:443", "https://api.example.com")
NOW = 1_000_005.0


async def test_queued_requests_are_listed_by_user_and_by_key(store: Store) -> None:
    """Queued requests are listed in the order of their submits, whatever the priority; others are left out."""
    anns, bobs = make_key(), make_key()
    for key in (anns, bobs):
        await store.api_keys.add(key)
    jobs = [
        await store.jobs.submit(make_job(key=key, user=user, priority=priority, submitted_at=1_000_000.0 + k))
        for k, (key, user, priority) in enumerate(
            [(anns, "ann", 9), (anns, "ann", 1), (bobs, "bob", 0), (None, "ann", 5), (anns, "ann", 2)]
        )
    ]
    running = await store.leases.claim(claim_request())
    await store.jobs.cancel(jobs[1].id, NOW)

    assert running is not None
    assert running.job.id == jobs[0].id
    assert [jobs[3].id, jobs[4].id] == await store.queue.list_queued(user="ann")
    assert [jobs[4].id] == await store.queue.list_queued(key_id=anns.id)
    assert [jobs[2].id] == await store.queue.list_queued(user="bob", key_id=bobs.id)
    assert [] == await store.queue.list_queued(user="ann", key_id=bobs.id)


async def test_the_operator_cancels_only_queued_requests(store: Store, second_store: Store) -> None:
    """Each queued request is counted once, says who cancelled it, and makes its webhook due; others stay as they
    are."""
    running, waiting, ended = [await store.jobs.submit(make_job(webhook=HOOK)) for _ in range(3)]
    await store.leases.claim(claim_request())
    await store.jobs.cancel(ended.id, 1_000_001.0)
    ids = [running.id, waiting.id, ended.id, "x" * 20]

    assert [1, 0] == [await each.queue.cancel_queued(ids, NOW) for each in (second_store, store)]

    job = await store.jobs.get(waiting.id)
    assert job is not None
    assert job.failure is not None
    assert (JobState.CANCELLED, NOW, "Request cancelled by the operator.", CancelledBy.OPERATOR) == (
        job.state,
        job.finished_at,
        job.failure.message,
        job.cancelled_by,
    )
    assert "operator" in (await store.jobs.log(job))[-1].message
    assert CancelResult.ALREADY_RUNNING == await store.jobs.cancel(running.id, NOW)
    claimed = [await store.outbox.claim(str(k), NOW, NOW + 9, busy_users=(), busy_endpoints=()) for k in range(3)]
    assert [ended.id, waiting.id, None] == [None if each is None else each.job_id for each in claimed]


async def test_either_the_operator_or_the_claim_wins(store: Store, second_store: Store) -> None:
    """Of concurrent cancels and claims, exactly one counts each job."""
    jobs = [await store.jobs.submit(make_job()) for _ in range(60)]
    ids = [job.id for job in jobs]
    halves = [random.Random(k).sample(ids, len(ids)) for k in range(2)]

    async def claim_some() -> list[str]:
        leases = [await second_store.leases.claim(claim_request()) for _ in range(30)]
        return [lease.job.id for lease in leases if lease is not None]

    *counts, claimed = await asyncio.gather(
        store.queue.cancel_queued(halves[0], NOW), second_store.queue.cancel_queued(halves[1], NOW), claim_some()
    )

    states = {job.id: job.state for job in (await store.jobs.get_many(ids)).values()}
    assert set(claimed) == {job_id for job_id, state in states.items() if state is JobState.RUNNING}
    assert len(ids) - len(claimed) == sum(counts)
    assert {JobState.RUNNING, JobState.CANCELLED} >= set(states.values())


async def test_a_change_of_limits_changes_what_it_names(store: Store, second_store: Store) -> None:
    """Limits that the change does not name stay; a limit that is set to None is removed."""
    key = make_key(max_priority=3, max_queued_images=5)
    await store.api_keys.add(key)

    changed = await second_store.api_keys.update(key.id, {"max_running_images": 2})
    lifted = await store.api_keys.update(key.id, {"max_queued_images": None, "max_priority": -4})
    same = await store.api_keys.update(key.id, {})

    assert changed is not None
    assert (3, 5, 2) == (changed.max_priority, changed.max_queued_images, changed.max_running_images)
    assert lifted is not None
    assert (-4, None, 2) == (lifted.max_priority, lifted.max_queued_images, lifted.max_running_images)
    assert lifted == same == (await store.api_keys.list_keys())[0]
    assert await store.api_keys.update("unknown", {"max_priority": 1}) is None


async def test_recently_revoked_keys_are_listed(store: Store, second_store: Store) -> None:
    """Keys revoked since a given time are listed in every process."""
    keys = [make_key() for _ in range(3)]
    for key in keys:
        await store.api_keys.add(key)
    await store.api_keys.revoke(keys[0].id, 10.0)
    await second_store.api_keys.revoke(keys[1].id, 20.0)

    found = [await store.api_keys.revoked_since(since) for since in (5.0, 20.0, 21.0)]

    assert [{keys[0].id, keys[1].id}, {keys[1].id}, set()] == found
