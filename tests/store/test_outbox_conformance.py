"""Webhooks that are due: written in the transaction that ends a request, and tried by one at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from pipelet.domain.errors import TooEarly
from pipelet.domain.ids import new_token
from pipelet.domain.job import Job, Lease
from pipelet.domain.outcome import MAX_ATTEMPTS, Cancelled, Failed, Failure, FailureKind, HandedBack
from pipelet.domain.ports import JobStore
from pipelet.domain.webhook_keys import Role, begun, published, replaced, rotated
from pipelet.domain.webhooks import Delivery, DeliveryState, Try, Webhook, after
from tests.jobs import make_job, success, wanting

NOW = 1_000_000.0
HOOK = Webhook("https://example.com/hook?a=1", "example.com:443", "http://127.0.0.1:8000")
OTHER = Webhook("https://other.example/hook", "other.example:443", "http://127.0.0.1:8000")
DAY = 86400.0


async def claimed(store: JobStore, job: Job, *, now: float = NOW) -> Lease:
    await store.submit(job)
    lease = await store.claim(wanting(now=now))
    assert lease is not None
    assert job.id == lease.job.id
    return lease


async def ended(store: JobStore, webhook: Webhook = HOOK, *, now: float = NOW) -> Job:
    lease = await claimed(store, make_job(webhook=webhook))
    assert await store.finish(lease, success(), now)
    return lease.job


async def cancelled(store: JobStore, user: str, receiver: str, *, now: float = NOW) -> Job:
    job = await store.submit(make_job(user=user, webhook=replace(HOOK, receiver=receiver)))
    await store.cancel(job.id, now)
    return job


async def due(
    store: JobStore, now: float = NOW, *busy: str, users: Sequence[str] = (), seconds: float = 30.0
) -> Delivery | None:
    return await store.outbox.claim(new_token(), now, now + seconds, busy_users=users, busy_receivers=busy)


async def record(store: JobStore, delivery: Delivery, code: int | None, now: float = NOW) -> bool:
    error = None if code == 200 else f"answered {code}"
    attempt = Try(now, 0.5, code, error)
    return await store.outbox.record(delivery, attempt, *after(attempt, delivery.tries, now, 0.0))


async def succeed(store: JobStore, lease: Lease) -> None:
    assert await store.finish(lease, success(), NOW)


async def fail(store: JobStore, lease: Lease) -> None:
    assert await store.finish(lease, Failed(Failure(FailureKind.INTERNAL, "The pipeline raised.")), NOW)


async def lose_it_again_and_again(store: JobStore, lease: Lease) -> None:
    for _ in range(MAX_ATTEMPTS - 1):
        await store.abandon(lease.worker, NOW)
        assert await due(store) is None
        assert await store.claim(wanting())
    await store.abandon(lease.worker, NOW)


async def let_it_run_out_again_and_again(store: JobStore, lease: Lease) -> None:
    for _ in range(MAX_ATTEMPTS - 1):
        await store.requeue_expired(NOW + 60)
        assert await store.claim(wanting())
    await store.requeue_expired(NOW + 60)


async def cancel(store: JobStore, lease: Lease) -> None:
    assert await store.finish(lease, HandedBack("stopping"), NOW)
    assert await due(store) is None
    await store.cancel(lease.job.id, NOW)
    await store.cancel(lease.job.id, NOW)


async def stop_what_runs(store: JobStore, lease: Lease) -> None:
    await store.cancel(lease.job.id, NOW, running=True)
    assert await due(store) is None
    assert await store.finish(lease, Cancelled(()), NOW)


async def lose_what_is_to_stop(store: JobStore, lease: Lease) -> None:
    await store.cancel(lease.job.id, NOW, running=True)
    await store.abandon(lease.worker, NOW)
    await store.end_overdue(NOW, 10)


async def let_its_deadline_pass(store: JobStore, lease: Lease) -> None:
    assert await store.finish(lease, HandedBack("stopping"), NOW)
    await store.end_overdue(NOW + 501, 10)


ENDS = [
    succeed,
    fail,
    cancel,
    stop_what_runs,
    lose_what_is_to_stop,
    let_its_deadline_pass,
    lose_it_again_and_again,
    let_it_run_out_again_and_again,
]


@pytest.mark.parametrize("end", ENDS)
async def test_whatever_ends_a_request_makes_its_webhook_due_once(
    store: JobStore, end: Callable[[JobStore, Lease], Awaitable[None]]
) -> None:
    """Success, failure, cancels, a deadline, a worker that died or was lost three times: never before, never twice."""
    lease = await claimed(store, replace(make_job(webhook=HOOK), start_by=NOW + 500))
    assert await due(store, NOW + 1000) is None

    await end(store, lease)

    delivery = await due(store, NOW + 1000)
    assert delivery is not None
    assert (lease.job.id, HOOK.receiver, 1) == (delivery.job_id, delivery.receiver, delivery.tries)
    assert await due(store, NOW + 1000) is None
    found = await store.get(lease.job.id)
    assert found is not None
    assert HOOK == found.webhook


async def test_a_request_without_webhook_tells_nobody(store: JobStore) -> None:
    """Nothing is due, and there is nothing to replay."""
    lease = await claimed(store, make_job())
    await succeed(store, lease)

    assert await due(store, NOW + 1000) is None
    assert await store.outbox.report(lease.job.id) is None
    assert not await store.outbox.replay(lease.job.id, NOW)


async def test_no_two_try_the_same_at_once(store: JobStore, second_store: JobStore) -> None:
    """Of many who look at the same time, in two processes, each due one is given to exactly one."""
    jobs = {(await ended(store)).id for _ in range(8)}

    found = await asyncio.gather(*(due(each) for each in (store, second_store) * 8))

    assert sorted(jobs) == sorted(each.job_id for each in found if each is not None)


async def test_a_try_whose_process_was_lost_is_made_again(store: JobStore, second_store: JobStore) -> None:
    """After its time, and not before; whoever was slow learns that it was taken over, and changes nothing."""
    await ended(store)
    lost = await due(store, seconds=30)
    assert lost is not None
    assert await due(second_store, NOW + 29) is None

    again = await due(second_store, NOW + 30)

    assert again is not None
    assert (lost.job_id, 2) == (again.job_id, again.tries)
    assert not await record(store, lost, 200)
    await store.outbox.hand_back(lost, NOW)
    assert await due(store, NOW + 31) is None
    assert await record(second_store, again, 200)


async def test_what_is_handed_back_is_due_at_once(store: JobStore) -> None:
    """And the try does not count."""
    await ended(store)
    delivery = await due(store)
    assert delivery is not None

    await store.outbox.hand_back(delivery, NOW + 1)

    again = await due(store, NOW + 1)
    assert again is not None
    assert 1 == again.tries


async def test_a_failed_try_is_made_again_later(store: JobStore) -> None:
    """When its wait is over; the log keeps both tries, and a delivered one is not due any more."""
    job = await ended(store)
    first = await due(store)
    assert first is not None
    assert await record(store, first, 500)
    waiting = await store.outbox.report(job.id)
    assert waiting is not None
    assert waiting.due_at is not None
    assert waiting.due_at > NOW
    assert await due(store, waiting.due_at - 0.1) is None

    second = await due(store, waiting.due_at)
    assert second is not None
    assert await record(store, second, 200, waiting.due_at)

    report = await store.outbox.report(job.id)
    assert report is not None
    assert (DeliveryState.DELIVERED, HOOK.url, None) == (report.state, report.url, report.due_at)
    assert [(500, "answered 500"), (200, None)] == [(each.code, each.error) for each in report.tries]
    assert await due(store, NOW + 10 * DAY) is None


async def test_busy_receivers_are_left_out(store: JobStore) -> None:
    """What waits for a busy receiver does not stand in the way of what waits for another."""
    for _ in range(3):
        await ended(store, HOOK)
    job = await ended(store, OTHER, now=NOW + 1)

    delivery = await due(store, NOW + 2, HOOK.receiver)

    assert delivery is not None
    assert job.id == delivery.job_id
    assert await due(store, NOW + 2, HOOK.receiver, OTHER.receiver) is None


async def test_busy_users_are_left_out(store: JobStore) -> None:
    """Whatever their receivers are."""
    for receiver in ("a:80", "b:80"):
        await cancelled(store, "ann", receiver)
    job = await cancelled(store, "bob", "a:80", now=NOW + 1)

    delivery = await due(store, NOW + 2, users=["ann"])

    assert delivery is not None
    assert (job.id, "bob", "a:80") == (delivery.job_id, delivery.user, delivery.receiver)
    assert await due(store, NOW + 2, users=["ann", "bob"]) is None


async def test_the_longest_due_is_found_behind_hundreds_of_busy_ones(store: JobStore) -> None:
    """Of all users and receivers that are not busy, in the order of their time; and none that is not due yet."""
    await asyncio.gather(*(cancelled(store, "bob", "hangs:80") for _ in range(150)))
    await asyncio.gather(*(cancelled(store, "cat", f"{number}:80") for number in range(150)))
    await cancelled(store, "bob", "later:80", now=NOW + 100)
    waiting = [("dan", "x:80"), ("bob", "y:80"), ("ann", "hangs:81"), ("bob", "a:80"), ("dan", "x:80")]
    jobs = [await cancelled(store, *of, now=NOW + number) for number, of in enumerate(waiting, start=1)]

    found = [await due(store, NOW + 10, "hangs:80", users=["cat"]) for _ in range(len(jobs) + 1)]

    assert [*(job.id for job in jobs), None] == [delivery and delivery.job_id for delivery in found]


async def test_a_replay_begins_anew(store: JobStore) -> None:
    """Of what was delivered or given up, with all tries before it; not of what is being tried right now."""
    job = await ended(store)
    delivery = await due(store)
    assert delivery is not None
    assert not await store.outbox.replay(job.id, NOW)
    attempt = Try(NOW, 0.1, 410, "answered 410", is_final=True)
    assert await store.outbox.record(delivery, attempt, *after(attempt, 1, NOW, 0.0))
    assert [job.id] == [each.job_id for each in await store.outbox.reports(DeliveryState.GIVEN_UP, 10)]

    assert await store.outbox.replay(job.id, NOW + 5)

    again = await due(store, NOW + 5)
    assert again is not None
    assert 1 == again.tries
    assert await record(store, again, 200)
    assert await store.outbox.replay(job.id, NOW + 6)


async def test_reports_are_of_one_state_and_begin_with_the_last_end(store: JobStore) -> None:
    """As many as were asked for; and what is not delivered is counted, with the time of the oldest."""
    jobs = [await ended(store, now=NOW + k) for k in range(3)]
    assert (3, NOW) == ((await store.outbox.undelivered()).count, (await store.outbox.undelivered()).oldest)
    first = await due(store, NOW + 10)
    assert first is not None
    await record(store, first, 200)

    assert [jobs[2].id, jobs[1].id] == [each.job_id for each in await store.outbox.reports(None, 2)]
    assert [jobs[0].id] == [each.job_id for each in await store.outbox.reports(DeliveryState.DELIVERED, 10)]
    assert (2, NOW + 1) == ((await store.outbox.undelivered()).count, (await store.outbox.undelivered()).oldest)


async def test_a_webhook_is_forgotten_with_its_request(store: JobStore) -> None:
    """With the log of its tries, also while it is being tried."""
    job = await ended(store)
    delivery = await due(store)
    assert delivery is not None
    assert await record(store, delivery, 500)
    again = await due(store, NOW + 100)
    assert again is not None

    assert 1 == await store.delete_finished(NOW + 1, NOW + 1, 10)

    assert not await record(store, again, 200)
    assert await store.outbox.report(job.id) is None
    assert 0 == (await store.outbox.undelivered()).count


async def test_a_request_kept_for_less_stays_until_its_webhook_is_told(store: JobStore) -> None:
    """Delivered or given up; only what is older than the operator keeps goes in any case."""
    short = [
        await claimed(store, replace(make_job(webhook=webhook), keep_seconds=1.0)) for webhook in (HOOK, OTHER, None)
    ]
    for lease in short:
        await succeed(store, lease)
    told, failing, plain = (lease.job.id for lease in short)
    assert 1 == await store.delete_finished(NOW - DAY, NOW + 5, 10)
    assert await store.get(plain) is None

    delivery = await due(store, NOW + 5, OTHER.receiver)
    assert delivery is not None
    assert 0 == await store.delete_finished(NOW - DAY, NOW + 5, 10)
    assert await record(store, delivery, 200)
    assert 1 == await store.delete_finished(NOW - DAY, NOW + 5, 10)

    assert await store.get(told) is None
    assert await store.get(failing) is not None
    assert 1 == await store.delete_finished(NOW + 1, NOW + 5, 10)
    assert await store.get(failing) is None


def new_pair() -> tuple[bytes, bytes]:
    return new_token().encode(), new_token().encode()


async def test_all_who_start_together_sign_with_the_same_key(store: JobStore, second_store: JobStore) -> None:
    """However many make a first key at the same time, one key signs, and one is next."""
    stores = (store, second_store) * 3
    await asyncio.gather(*(each.outbox.change_keys(lambda keys: begun(keys, new_pair, NOW)) for each in stores))

    keys = await store.outbox.keys()

    assert {Role.SIGNING, Role.NEXT} == {key.role for key in keys}
    assert 2 == len(keys)
    assert keys == await second_store.outbox.keys()


async def test_rotating_changes_to_a_key_that_receivers_know(store: JobStore) -> None:
    """The next key, published for a day at least, signs; the one before stays published for a day and more, then goes.
    All can be replaced at once."""
    outbox = store.outbox
    await outbox.change_keys(lambda keys: begun(keys, new_pair, NOW))
    before = {key.role: key for key in await outbox.keys()}

    with pytest.raises(TooEarly, match="--leaked"):
        await outbox.change_keys(lambda keys: rotated(keys, new_pair, NOW + DAY - 1))
    assert before == {key.role: key for key in await outbox.keys()}
    await outbox.change_keys(lambda keys: rotated(keys, new_pair, NOW + DAY))

    keys = {key.role: key for key in await outbox.keys()}
    assert before[Role.NEXT].public == keys[Role.SIGNING].public
    assert before[Role.SIGNING].public == keys[Role.RETIRED].public
    assert keys[Role.NEXT].public not in {key.public for key in before.values()}
    assert 3 == len(published(await outbox.keys(), NOW + 2 * DAY))
    assert 2 == len(published(await outbox.keys(), NOW + 4 * DAY))
    await outbox.change_keys(lambda _: replaced(new_pair, NOW + 5 * DAY))
    assert not {key.public for key in keys.values()} & {key.public for key in await outbox.keys()}
