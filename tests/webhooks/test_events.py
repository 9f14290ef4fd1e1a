"""Webhooks that tell of a running request, on both databases, with real endpoints."""

from pipelet.domain.accounts.limits import UserLimitChanges
from pipelet.domain.jobs.job import Lease
from pipelet.domain.jobs.outcome import Released
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.webhooks.delivery import Delivery, Webhook, WebhookEvent
from tests.support.jobs import claim_request, make_job, success
from tests.support.waiting import until
from tests.webhooks import receiver as receivers
from tests.webhooks.conftest import SenderHarness
from tests.webhooks.receiver import Receiver

BOTH = (WebhookEvent.STARTED, WebhookEvent.PROGRESS)


async def started(harness: SenderHarness, receiver: Receiver, *events: WebhookEvent, user: str = "ann") -> Lease:
    endpoint = f"127.0.0.1:{receiver.port}"
    await harness.store.jobs.submit(
        make_job(webhook=Webhook(receiver.url, endpoint, "http://pipelet.test", events), user=user)
    )
    return await claimed(harness)


async def claimed(harness: SenderHarness) -> Lease:
    lease = await harness.store.leases.claim(claim_request(now=harness.clock.now(), seconds=600))
    assert lease is not None
    return lease


async def recorded(harness: SenderHarness, attempts: int) -> None:
    """Wait until that number of attempts has ended."""
    await until(lambda: harness.outcomes.total() >= attempts)


async def due(harness: SenderHarness, *, busy: str = "") -> Delivery | None:
    now = harness.clock.now()
    return await harness.store.outbox.claim_event("t", now, now + 30, busy_users=[busy], busy_endpoints=[])


async def test_a_receiver_is_told_of_the_start_and_of_progress(harness: SenderHarness, good: Receiver) -> None:
    """Signed like the end, in that order; at most once a second, with what is true then."""
    async with harness.sending():
        lease = await started(harness, good, *BOTH)
        begun = await good.next_call()
        await harness.store.leases.report_progress(lease, Progress(3, 12))
        first = await good.next_call()
        await recorded(harness, 2)
        for done in range(4, 9):
            await harness.store.leases.report_progress(lease, Progress(done, 12))
        harness.clock.time += 1
        second = await good.next_call()
        await harness.store.leases.report_progress(lease, Progress(12, 12))
        outcome = success(f"outputs/{lease.job.id}.png")
        assert await harness.store.leases.finish(lease, outcome, harness.clock.now())
        harness.clock.time += 1
        end = await good.next_call()

    keys = await harness.published()
    assert all(harness.is_genuine(keys, call) for call in (begun, first, second))
    told = [(call.message["event"], call.message["progress"]) for call in (begun, first, second)]
    assert [("started", None), ("progress", {"done": 3, "total": 12}), ("progress", {"done": 8, "total": 12})] == told
    assert {("IN_PROGRESS", lease.job.id, 1)} == {
        (call.message["status"], call.message["request_id"], call.message["attempt"]) for call in (begun, first)
    }
    assert "event" not in end.message
    assert good.calls.empty()
    assert await due(harness) is None


async def test_only_what_was_asked_for_is_told(harness: SenderHarness, good: Receiver) -> None:
    """A request with one event, or with none, is silent about the others; a busy user is passed over."""
    for events in ((), (WebhookEvent.PROGRESS,)):
        lease = await started(harness, good, *events)
        assert await due(harness) is None
        await harness.store.leases.report_progress(lease, Progress(1, 12))
        assert await due(harness, busy="ann") is None
        delivery = await due(harness)
        assert (delivery and delivery.event) == (events[0] if events else None)


async def test_a_second_attempt_is_told_again(harness: SenderHarness, good: Receiver) -> None:
    """What was due of the first one is gone with it."""
    lease = await started(harness, good, *BOTH)
    await harness.store.leases.report_progress(lease, Progress(1, 12))
    assert await harness.store.leases.finish(lease, Released("worker_stops"), harness.clock.now())
    assert await due(harness) is None
    await claimed(harness)

    delivery = await due(harness)
    assert delivery is not None
    assert WebhookEvent.STARTED is delivery.event
    assert await due(harness) is None


async def test_an_endpoint_that_fails_is_told_again_while_it_runs(harness: SenderHarness) -> None:
    """Three attempts, the second after five seconds; nothing of them is in the list of deliveries."""
    async with Receiver(receivers.status(500)) as receiver, harness.sending():
        await started(harness, receiver, WebhookEvent.STARTED)
        for attempt, seconds in enumerate((5, 15, 60), 1):
            await receiver.next_call()
            await recorded(harness, attempt)
            harness.clock.time += seconds

        assert await due(harness) is None
    assert [] == await harness.store.outbox.list_deliveries(None, 10)
    assert {"retrying": 2, "failed": 1} == harness.outcomes


async def test_events_count_against_the_limit_of_webhooks(harness: SenderHarness, good: Receiver) -> None:
    """A user may have ten seconds' worth at once; further ones wait, and those of others do not."""
    await harness.store.limits.change("ann", UserLimitChanges(max_webhooks_per_minute=12))
    for _ in range(4):
        await started(harness, good, WebhookEvent.STARTED)
    await started(harness, good, WebhookEvent.STARTED, user="bob")

    told = [delivery.user for _ in range(9) if (delivery := await due(harness)) is not None]
    assert ["ann", "ann", "ann", "bob"] == sorted(told)
    harness.clock.time += 5
    assert await due(harness) is not None
