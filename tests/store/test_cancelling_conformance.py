"""What every store promises an operator who cancels what others have queued, or changes their keys."""

import asyncio
import random

from pipelet.domain.job import CancelAnswer, State
from pipelet.domain.ports import JobStore
from pipelet.domain.webhooks import Webhook
from tests.jobs import make_job, make_key, wanting

HOOK = Webhook("https://example.com/hook", "example.com:443", "https://api.example.com")
NOW = 1_000_005.0


async def test_what_waits_is_listed_by_user_and_by_key(store: JobStore) -> None:
    """In the order of submits, whatever the priority; what runs or has ended is left out."""
    anns, bobs = make_key(), make_key()
    for key in (anns, bobs):
        await store.add_key(key)
    jobs = [
        await store.submit(make_job(key=key, user=user, priority=priority, submitted_at=1_000_000.0 + k))
        for k, (key, user, priority) in enumerate(
            [(anns, "ann", 9), (anns, "ann", 1), (bobs, "bob", 0), (None, "ann", 5), (anns, "ann", 2)]
        )
    ]
    running = await store.claim(wanting())
    await store.cancel(jobs[1].id, NOW)

    assert running is not None
    assert running.job.id == jobs[0].id
    assert [jobs[3].id, jobs[4].id] == await store.list_queued(user="ann")
    assert [jobs[4].id] == await store.list_queued(key_id=anns.id)
    assert [jobs[2].id] == await store.list_queued(user="bob", key_id=bobs.id)
    assert [] == await store.list_queued(user="ann", key_id=bobs.id)


async def test_the_operator_cancels_what_waits_and_nothing_else(store: JobStore, second_store: JobStore) -> None:
    """Each is counted once, says who cancelled it, and tells its webhook; what runs or has ended stays as it is."""
    running, waiting, ended = [await store.submit(make_job(webhook=HOOK)) for _ in range(3)]
    await store.claim(wanting())
    await store.cancel(ended.id, 1_000_001.0)
    ids = [running.id, waiting.id, ended.id, "x" * 20]

    assert [1, 0] == [await each.cancel_queued(ids, NOW) for each in (second_store, store)]

    job = await store.get(waiting.id)
    assert job is not None
    assert job.failure is not None
    assert (State.CANCELLED, NOW, "Request cancelled by the operator.") == (
        job.state,
        job.finished_at,
        job.failure.message,
    )
    assert "operator" in (await store.log(job))[-1].message
    assert CancelAnswer.ALREADY_RUNNING == await store.cancel(running.id, NOW)
    told = [await store.outbox.claim(str(k), NOW, NOW + 9, busy_users=(), busy_receivers=()) for k in range(3)]
    assert [ended.id, waiting.id, None] == [None if each is None else each.job_id for each in told]


async def test_either_the_operator_or_the_claim_wins(store: JobStore, second_store: JobStore) -> None:
    """Where several cancel and several claim at the same time, each job is counted by exactly one of them."""
    jobs = [await store.submit(make_job()) for _ in range(60)]
    ids = [job.id for job in jobs]
    halves = [random.Random(k).sample(ids, len(ids)) for k in range(2)]

    async def claim_some() -> list[str]:
        leases = [await second_store.claim(wanting()) for _ in range(30)]
        return [lease.job.id for lease in leases if lease is not None]

    *counts, claimed = await asyncio.gather(
        store.cancel_queued(halves[0], NOW), second_store.cancel_queued(halves[1], NOW), claim_some()
    )

    states = {job.id: job.state for job in (await store.get_many(ids)).values()}
    assert set(claimed) == {job_id for job_id, state in states.items() if state is State.RUNNING}
    assert len(ids) - len(claimed) == sum(counts)  # type: ignore[arg-type]
    assert {State.RUNNING, State.CANCELLED} >= set(states.values())


async def test_a_change_of_limits_changes_what_it_names(store: JobStore, second_store: JobStore) -> None:
    """The others stay, whatever they are; a limit that is set to nothing is lifted."""
    key = make_key(max_priority=3, max_queued_images=5)
    await store.add_key(key)

    changed = await second_store.limit_key(key.id, {"max_running_images": 2})
    lifted = await store.limit_key(key.id, {"max_queued_images": None, "max_priority": -4})
    same = await store.limit_key(key.id, {})

    assert changed is not None
    assert (3, 5, 2) == (changed.max_priority, changed.max_queued_images, changed.max_running_images)
    assert lifted is not None
    assert (-4, None, 2) == (lifted.max_priority, lifted.max_queued_images, lifted.max_running_images)
    assert lifted == same == (await store.keys())[0]
    assert await store.limit_key("unknown", {"max_priority": 1}) is None


async def test_keys_that_were_revoked_lately(store: JobStore, second_store: JobStore) -> None:
    """Since a moment, as any process sees them."""
    keys = [make_key() for _ in range(3)]
    for key in keys:
        await store.add_key(key)
    await store.revoke_key(keys[0].id, 10.0)
    await second_store.revoke_key(keys[1].id, 20.0)

    found = [await store.revoked_keys(since) for since in (5.0, 20.0, 21.0)]

    assert [{keys[0].id, keys[1].id}, {keys[1].id}, set()] == found
