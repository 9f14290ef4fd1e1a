"""What every store guarantees about the cancel of a running request."""

import asyncio

import pytest

from pipelet.domain.jobs.job import AttemptSignals, CancelResult, Job, JobState
from pipelet.domain.jobs.outcome import CANCEL_MESSAGES, Cancelled, CancelledBy, Failure, FailureKind, Released
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import DAY, LOST, NOW, claimed, read
from tests.support.jobs import claim_request, make_job, success

STOP = AttemptSignals(is_cancelled=True, previews_until=None)


async def test_a_running_request_stops_only_on_request(store: Store, second_store: Store) -> None:
    """Only its own worker gets the cancel request; a repeated cancel has the same result until the request has
    ended."""
    job, other = await store.jobs.submit(make_job()), await store.jobs.submit(make_job())
    lease = await claimed(store)
    await claimed(store)
    assert CancelResult.ALREADY_RUNNING == await second_store.jobs.cancel(job.id, NOW)
    assert {} == await store.leases.list_signals("w1", NOW)

    for _ in range(2):
        assert CancelResult.STOPPING == await second_store.jobs.cancel(job.id, NOW, running=True)
        assert {lease.token: STOP} == await store.leases.list_signals("w1", NOW)
    assert CancelResult.ALREADY_RUNNING == await second_store.jobs.cancel(job.id, NOW)
    assert {} == await store.leases.list_signals("w2", NOW)

    images = success("outputs/a.png").images
    await store.files.reserve(lease, ["outputs/a.png", "outputs/b.png"])
    assert await store.leases.finish(lease, Cancelled(images), NOW + 1)
    assert {} == await store.leases.list_signals("w1", NOW)
    ended = await read(store, job)
    assert (JobState.CANCELLED, images) == (ended.state, ended.images)
    assert Failure(FailureKind.CANCELLED, "Request cancelled by the client.") == ended.failure
    assert ["outputs/b.png"] == await store.files.orphaned(NOW + DAY, 10)
    assert CancelResult.CANCELLED == await store.jobs.cancel(job.id, NOW + 2, running=True)
    assert JobState.RUNNING == (await read(store, other)).state


async def test_a_cancel_of_a_queued_request_needs_no_worker(store: Store) -> None:
    """A queued request is cancelled at once, also if running requests may be stopped."""
    job = await store.jobs.submit(make_job())

    assert CancelResult.CANCELLED == await store.jobs.cancel(job.id, NOW, running=True)

    assert await store.leases.claim(claim_request()) is None
    assert CancelResult.UNKNOWN == await store.jobs.cancel("x" * 20, NOW, running=True)


@pytest.mark.parametrize("by", [*CancelledBy])
@pytest.mark.parametrize("runs", [False, True])
async def test_a_cancelled_request_says_who_did_it(
    store: Store, second_store: Store, by: CancelledBy, runs: bool
) -> None:
    """Whether it waited or ran; of several cancels of a running one, the first counts."""
    job = await store.jobs.submit(make_job())
    lease = await claimed(store) if runs else None
    await second_store.jobs.cancel(job.id, NOW, running=True, by=by)
    if lease is not None:
        await store.jobs.cancel(job.id, NOW + 1, running=True, by=CancelledBy.OPERATOR)
        assert await store.leases.finish(lease, Cancelled(()), NOW + 2)

    ended = await read(store, job)

    assert (by, Failure(FailureKind.CANCELLED, CANCEL_MESSAGES[by])) == (ended.cancelled_by, ended.failure)


async def test_a_lost_attempt_keeps_who_cancelled_it(store: Store) -> None:
    """Its worker never told of the cancel: the request ends without another attempt."""
    job = await store.jobs.submit(make_job())
    lease = await claimed(store)
    await store.jobs.cancel(job.id, NOW, running=True, by=CancelledBy.CONNECTION)
    await store.leases.finish(lease, LOST, NOW + 1)
    await store.jobs.expire_overdue(NOW + 2, 10)

    ended = await read(store, job)

    assert (JobState.CANCELLED, CancelledBy.CONNECTION) == (ended.state, ended.cancelled_by)


async def test_a_request_that_succeeded_all_the_same_was_not_cancelled(store: Store) -> None:
    """A cancel that its worker learned of too late is no part of its record."""
    job = await store.jobs.submit(make_job())
    lease = await claimed(store)
    await store.jobs.cancel(job.id, NOW, running=True)
    await store.leases.finish(lease, success("outputs/a.png"), NOW + 1)

    assert (await read(store, job)).cancelled_by is None


async def test_exactly_one_of_finish_and_cancel_wins(store: Store) -> None:
    """The outcome that ends the attempt first counts, and the other one is refused."""
    job = await store.jobs.submit(make_job())
    lease = await claimed(store)
    await store.jobs.cancel(job.id, NOW, running=True)

    assert await store.leases.finish(lease, success("outputs/a.png"), NOW + 1)
    assert not await store.leases.finish(lease, Cancelled(()), NOW + 1)

    assert JobState.SUCCEEDED == (await read(store, job)).state
    assert CancelResult.ALREADY_FINISHED == await store.jobs.cancel(job.id, NOW + 2, running=True)


async def test_cancels_race_starts_and_ends(store: Store, second_store: Store) -> None:
    """Cancels race with claims and ends in another process: each request has one end, and no request starts after an
    accepted cancel."""
    jobs = [await store.jobs.submit(make_job(priority=k % 3)) for k in range(60)]

    async def work() -> None:
        while lease := await second_store.leases.claim(claim_request()):
            is_to_stop = lease.token in await second_store.leases.list_signals("w1", NOW)
            await second_store.leases.finish(lease, Cancelled(()) if is_to_stop else success(), NOW + 1)

    async def cancel(job: Job) -> CancelResult:
        return await store.jobs.cancel(job.id, NOW, running=True)

    *responses, _, _ = await asyncio.gather(*map(cancel, jobs), work(), work())
    await store.jobs.expire_overdue(NOW + 1, 100)

    ends: dict[CancelResult | None, set[JobState]] = {
        CancelResult.CANCELLED: {JobState.CANCELLED},
        CancelResult.STOPPING: {JobState.CANCELLED, JobState.SUCCEEDED},
        CancelResult.ALREADY_FINISHED: {JobState.SUCCEEDED},
    }
    for job, response in zip(jobs, responses, strict=True):
        assert (await read(store, job)).state in ends[response]
    assert {} == await store.queue.counts()


@pytest.mark.parametrize("end", ["lost", "handed back", "expired"])
async def test_a_request_that_has_to_stop_never_starts_again(store: Store, end: str) -> None:
    """If its attempt is cut short before its worker learns of the cancel, the request is over."""
    job = await store.jobs.submit(make_job())
    lease = await claimed(store)
    await store.jobs.cancel(job.id, NOW, running=True)
    match end:
        case "lost":
            await store.leases.finish(lease, LOST, NOW + 1)
        case "handed back":
            await store.leases.finish(lease, Released("stopping"), NOW + 1)
        case "expired":
            await store.leases.requeue_expired(NOW + 11)

    assert await store.leases.claim(claim_request(now=NOW + 11)) is None
    assert 1 == await store.jobs.expire_overdue(NOW + 11, 10)
    ended = await read(store, job)
    assert (JobState.CANCELLED, FailureKind.CANCELLED) == (ended.state, ended.failure and ended.failure.kind)
    assert {} == await store.queue.counts()


async def test_a_cancel_of_a_running_request_notifies(store: Store, second_store: Store) -> None:
    """A cancel of a running request notifies its worker before its next poll."""
    async with store.subscribe_work() as rung, asyncio.timeout(10):
        job = await store.jobs.submit(make_job())
        await rung.wait()
        await claimed(store)
        rung.clear()

        await second_store.jobs.cancel(job.id, NOW, running=True)

        await rung.wait()
