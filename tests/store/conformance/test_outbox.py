"""The outbox: deliveries are added in the transaction that ends a request, and attempted by one process at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import MAX_ATTEMPTS, Cancelled, Failed, Failure, FailureKind, Released
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks.delivery import (
    Delivery,
    DeliveryAttempt,
    DeliveryReport,
    DeliveryState,
    Webhook,
)
from pipelet.domain.webhooks.retry import next_state
from tests.support.jobs import claim_request, make_job, success

NOW = 1_000_000.0

HOOK = Webhook("https://example.com/hook?a=1", "example.com:443", "http://127.0.0.1:8000")

OTHER = Webhook("https://other.example/hook", "other.example:443", "http://127.0.0.1:8000")

DAY = 86400.0


async def report_of(store: Store, job_id: str) -> DeliveryReport | None:
    return next((each for each in await store.outbox.list_deliveries(None, 100) if each.job_id == job_id), None)


async def claimed(store: Store, job: Job, *, now: float = NOW) -> Lease:
    await store.jobs.submit(job)
    lease = await store.leases.claim(claim_request(now=now))
    assert lease is not None
    assert job.id == lease.job.id
    return lease


async def ended(store: Store, webhook: Webhook = HOOK, *, now: float = NOW) -> Job:
    lease = await claimed(store, make_job(webhook=webhook))
    assert await store.leases.finish(lease, success(), now)
    return lease.job


async def cancelled(store: Store, user: str, endpoint: str, *, now: float = NOW) -> Job:
    job = await store.jobs.submit(make_job(user=user, webhook=replace(HOOK, endpoint=endpoint)))
    await store.jobs.cancel(job.id, now)
    return job


async def due(
    store: Store, now: float = NOW, *busy: str, users: Sequence[str] = (), seconds: float = 30.0
) -> Delivery | None:
    return await store.outbox.claim(new_token(), now, now + seconds, busy_users=users, busy_endpoints=busy)


async def record(store: Store, delivery: Delivery, code: int | None, now: float = NOW) -> bool:
    error = None if code == 200 else f"responded with {code}"
    attempt = DeliveryAttempt(now, 0.5, code, error)
    return await store.outbox.record(delivery, attempt, *next_state(attempt, delivery.attempts, now, 0.0))


async def succeed(store: Store, lease: Lease) -> None:
    assert await store.leases.finish(lease, success(), NOW)


async def fail(store: Store, lease: Lease) -> None:
    assert await store.leases.finish(lease, Failed(Failure(FailureKind.INTERNAL, "The pipeline raised.")), NOW)


async def lose_it_again_and_again(store: Store, lease: Lease) -> None:
    for _ in range(MAX_ATTEMPTS - 1):
        await store.leases.requeue_of_worker(lease.worker, NOW)
        assert await due(store) is None
        assert await store.leases.claim(claim_request())
    await store.leases.requeue_of_worker(lease.worker, NOW)


async def let_it_run_out_again_and_again(store: Store, lease: Lease) -> None:
    for _ in range(MAX_ATTEMPTS - 1):
        await store.leases.requeue_expired(NOW + 60)
        assert await store.leases.claim(claim_request())
    await store.leases.requeue_expired(NOW + 60)


async def cancel(store: Store, lease: Lease) -> None:
    assert await store.leases.finish(lease, Released("stopping"), NOW)
    assert await due(store) is None
    await store.jobs.cancel(lease.job.id, NOW)
    await store.jobs.cancel(lease.job.id, NOW)


async def stop_what_runs(store: Store, lease: Lease) -> None:
    await store.jobs.cancel(lease.job.id, NOW, running=True)
    assert await due(store) is None
    assert await store.leases.finish(lease, Cancelled(()), NOW)


async def lose_what_is_to_stop(store: Store, lease: Lease) -> None:
    await store.jobs.cancel(lease.job.id, NOW, running=True)
    await store.leases.requeue_of_worker(lease.worker, NOW)
    await store.jobs.expire_overdue(NOW, 10)


async def let_its_deadline_pass(store: Store, lease: Lease) -> None:
    assert await store.leases.finish(lease, Released("stopping"), NOW)
    await store.jobs.expire_overdue(NOW + 501, 10)


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
async def test_every_end_makes_the_webhook_due_once(
    store: Store, end: Callable[[Store, Lease], Awaitable[None]]
) -> None:
    """Success, failure, cancels, a deadline, and a worker that died or was lost three times: never before the end,
    never twice."""
    lease = await claimed(store, replace(make_job(webhook=HOOK), start_deadline=NOW + 500))
    assert await due(store, NOW + 1000) is None

    await end(store, lease)

    delivery = await due(store, NOW + 1000)
    assert delivery is not None
    assert (lease.job.id, HOOK.endpoint, 1) == (delivery.job_id, delivery.endpoint, delivery.attempts)
    assert await due(store, NOW + 1000) is None
    found = await store.jobs.get(lease.job.id)
    assert found is not None
    assert HOOK == found.webhook


async def test_a_request_without_webhook_has_no_delivery(store: Store) -> None:
    """A request without a webhook has no delivery, and nothing to replay."""
    lease = await claimed(store, make_job())
    await succeed(store, lease)

    assert await due(store, NOW + 1000) is None
    assert await report_of(store, lease.job.id) is None
    assert not await store.outbox.replay(lease.job.id, NOW)


async def test_one_process_attempts_a_delivery_at_a_time(store: Store, second_store: Store) -> None:
    """Of concurrent claims in two processes, exactly one gets each delivery."""
    jobs = {(await ended(store)).id for _ in range(8)}

    found = await asyncio.gather(*(due(each) for each in (store, second_store) * 8))

    assert sorted(jobs) == sorted(each.job_id for each in found if each is not None)


async def test_an_attempt_of_a_lost_process_is_retried(store: Store, second_store: Store) -> None:
    """After the attempt's lease, and not before, another process takes over; the slow one is refused and changes
    nothing."""
    await ended(store)
    lost = await due(store, seconds=30)
    assert lost is not None
    assert await due(second_store, NOW + 29) is None

    again = await due(second_store, NOW + 30)

    assert again is not None
    assert (lost.job_id, 2) == (again.job_id, again.attempts)
    assert not await record(store, lost, 200)
    await store.outbox.release(lost, NOW)
    assert await due(store, NOW + 31) is None
    assert await record(second_store, again, 200)


async def test_a_released_delivery_is_due_at_once(store: Store) -> None:
    """A released delivery is due at once, and the attempt does not count."""
    await ended(store)
    delivery = await due(store)
    assert delivery is not None

    await store.outbox.release(delivery, NOW + 1)

    again = await due(store, NOW + 1)
    assert again is not None
    assert 1 == again.attempts


async def test_a_failed_attempt_is_retried_later(store: Store) -> None:
    """A failed attempt is retried after its delay; both attempts are kept, and a delivered webhook is not due any
    more."""
    job = await ended(store)
    first = await due(store)
    assert first is not None
    assert await record(store, first, 500)
    waiting = await report_of(store, job.id)
    assert waiting is not None
    assert waiting.due_at is not None
    assert waiting.due_at > NOW
    assert await due(store, waiting.due_at - 0.1) is None

    second = await due(store, waiting.due_at)
    assert second is not None
    assert await record(store, second, 200, waiting.due_at)

    report = await report_of(store, job.id)
    assert report is not None
    assert (DeliveryState.DELIVERED, HOOK.url, None) == (report.state, report.url, report.due_at)
    assert [(500, "responded with 500"), (200, None)] == [(each.code, each.error) for each in report.attempts]
    assert await due(store, NOW + 10 * DAY) is None


async def test_busy_endpoints_are_skipped(store: Store) -> None:
    """Deliveries to a busy endpoint do not block deliveries to others."""
    for _ in range(3):
        await ended(store, HOOK)
    job = await ended(store, OTHER, now=NOW + 1)

    delivery = await due(store, NOW + 2, HOOK.endpoint)

    assert delivery is not None
    assert job.id == delivery.job_id
    assert await due(store, NOW + 2, HOOK.endpoint, OTHER.endpoint) is None


async def test_busy_users_are_skipped(store: Store) -> None:
    """Deliveries of a busy user are skipped for all endpoints."""
    for endpoint in ("a:80", "b:80"):
        await cancelled(store, "ann", endpoint)
    job = await cancelled(store, "bob", "a:80", now=NOW + 1)

    delivery = await due(store, NOW + 2, users=["ann"])

    assert delivery is not None
    assert (job.id, "bob", "a:80") == (delivery.job_id, delivery.user, delivery.endpoint)
    assert await due(store, NOW + 2, users=["ann", "bob"]) is None


async def test_the_longest_due_is_found_behind_hundreds_of_busy_ones(store: Store) -> None:
    """Deliveries of users and endpoints that are not busy come in the order of their time, and none before it is
    due."""
    await asyncio.gather(*(cancelled(store, "bob", "hangs:80") for _ in range(150)))
    await asyncio.gather(*(cancelled(store, "cat", f"{number}:80") for number in range(150)))
    await cancelled(store, "bob", "later:80", now=NOW + 100)
    waiting = [("dan", "x:80"), ("bob", "y:80"), ("ann", "hangs:81"), ("bob", "a:80"), ("dan", "x:80")]
    jobs = [await cancelled(store, *of, now=NOW + number) for number, of in enumerate(waiting, start=1)]

    found = [await due(store, NOW + 10, "hangs:80", users=["cat"]) for _ in range(len(jobs) + 1)]

    assert [*(job.id for job in jobs), None] == [delivery and delivery.job_id for delivery in found]


async def test_a_replay_starts_over(store: Store) -> None:
    """A delivered or failed webhook can be replayed with all of its attempts; one under way cannot."""
    job = await ended(store)
    delivery = await due(store)
    assert delivery is not None
    assert not await store.outbox.replay(job.id, NOW)
    attempt = DeliveryAttempt(NOW, 0.1, 410, "responded with 410", is_final=True)
    assert await store.outbox.record(delivery, attempt, *next_state(attempt, 1, NOW, 0.0))
    assert [job.id] == [each.job_id for each in await store.outbox.list_deliveries(DeliveryState.FAILED, 10)]

    assert await store.outbox.replay(job.id, NOW + 5)

    again = await due(store, NOW + 5)
    assert again is not None
    assert 1 == again.attempts
    assert await record(store, again, 200)
    assert await store.outbox.replay(job.id, NOW + 6)


async def test_deliveries_are_listed_by_state_last_end_first(store: Store) -> None:
    """No more deliveries than the limit are listed; pending ones are counted, with the time of the oldest."""
    jobs = [await ended(store, now=NOW + k) for k in range(3)]
    assert (3, NOW) == ((await store.outbox.pending()).count, (await store.outbox.pending()).oldest)
    first = await due(store, NOW + 10)
    assert first is not None
    await record(store, first, 200)

    assert [jobs[2].id, jobs[1].id] == [each.job_id for each in await store.outbox.list_deliveries(None, 2)]
    assert [jobs[0].id] == [each.job_id for each in await store.outbox.list_deliveries(DeliveryState.DELIVERED, 10)]
    assert (2, NOW + 1) == ((await store.outbox.pending()).count, (await store.outbox.pending()).oldest)


async def test_a_delivery_is_deleted_with_its_request(store: Store) -> None:
    """A delivery and its attempts are deleted with the request, also while an attempt is under way."""
    job = await ended(store)
    delivery = await due(store)
    assert delivery is not None
    assert await record(store, delivery, 500)
    again = await due(store, NOW + 100)
    assert again is not None

    assert 1 == await store.jobs.delete_finished(NOW + 1, NOW + 1, 10)

    assert not await record(store, again, 200)
    assert await report_of(store, job.id) is None
    assert 0 == (await store.outbox.pending()).count


async def test_a_shorter_retention_waits_for_the_webhook(store: Store) -> None:
    """A request with a shorter retention stays until its webhook is delivered or has failed; the operator's retention
    deletes it in any case."""
    short = [
        await claimed(store, replace(make_job(webhook=webhook), retention_seconds=1.0))
        for webhook in (HOOK, OTHER, None)
    ]
    for lease in short:
        await succeed(store, lease)
    delivered, failing, plain = (lease.job.id for lease in short)
    assert 1 == await store.jobs.delete_finished(NOW - DAY, NOW + 5, 10)
    assert await store.jobs.get(plain) is None

    delivery = await due(store, NOW + 5, OTHER.endpoint)
    assert delivery is not None
    assert 0 == await store.jobs.delete_finished(NOW - DAY, NOW + 5, 10)
    assert await record(store, delivery, 200)
    assert 1 == await store.jobs.delete_finished(NOW - DAY, NOW + 5, 10)

    assert await store.jobs.get(delivered) is None
    assert await store.jobs.get(failing) is not None
    assert 1 == await store.jobs.delete_finished(NOW + 1, NOW + 5, 10)
    assert await store.jobs.get(failing) is None


async def test_deliveries_have_pages(store: Store) -> None:
    """A page follows the delivery that it is given, also among those that ended at the same moment; each can be read
    alone."""
    jobs = [await ended(store, now=NOW + k // 2) for k in range(5)]
    everything = await store.outbox.list_deliveries(None, 10)
    assert {job.id for job in jobs} == {each.job_id for each in everything}

    for place, each in enumerate(everything):
        following = await store.outbox.list_deliveries(DeliveryState.WAITING, 2, after=(each.since, each.job_id))
        assert everything[place + 1 : place + 3] == following
        assert each == await store.outbox.get_delivery(each.job_id)
    assert await store.outbox.get_delivery("unknown") is None
