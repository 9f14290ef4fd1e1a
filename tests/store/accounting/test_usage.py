"""The usage ledger: what each end of a request costs, and when it counts."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from pipelet.domain.accounts.usage import UsageFigures, UsageSum
from pipelet.domain.capacity.series import Gauges
from pipelet.domain.jobs.outcome import Cancelled, Failed, Failure, FailureKind, Outcome, Released
from pipelet.domain.ports.store import Store
from pipelet.domain.ports.usage import UsageField
from tests.store.conformance.calls import DAY, LOST, NOW, claimed
from tests.support.jobs import APP, EDIT, claim_request, make_job, make_key, success

PIXELS = 96 * 64
ALL: tuple[UsageField, ...] = ("day", "user", "key", "app")
TODAY = datetime.fromtimestamp(NOW, UTC).date()
BROKEN = Failed(Failure(FailureKind.INTERNAL, "broken"))
SUCCESS = UsageFigures(requests=1, images=1, pixels=PIXELS, device_microseconds=500_000)


async def sums(store: Store, *by: UsageField, **options: Any) -> list[UsageSum]:
    found = await store.usage.sums(date.min, date.max, by=by, limit=100, **options)
    return sorted(found, key=lambda each: (each.day or date.min, each.user or "", each.key_id or "", each.app or ""))


async def total(store: Store) -> UsageFigures:
    [found] = await sums(store)
    return found.figures


async def end(store: Store, outcome: Outcome, now: float = NOW, **options: Any) -> None:
    """Submit, claim and end a request at one moment."""
    await store.jobs.submit(make_job(submitted_at=now, **options))
    assert await store.leases.finish(await claimed(store, now=now), outcome, now)


@pytest.fixture(params=[False, True], ids=["noted", "added_up"])
async def settle(request: pytest.FixtureRequest, store: Store) -> Any:
    """Call it before reading: sums are the same before and after the entries are added up."""

    async def run() -> None:
        if request.param:
            while await store.usage.add_up(2):
                pass

    return run


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (success("a.png"), SUCCESS),
        (success("a.png", "b.png"), replace(SUCCESS, images=2, pixels=2 * PIXELS)),
        (BROKEN, UsageFigures(requests=1, failed=1)),
        (
            Cancelled(success("a.png").images),
            UsageFigures(requests=1, images=1, pixels=PIXELS, device_microseconds=3_000_000, cancelled=1),
        ),
    ],
    ids=["one image", "two images", "failed", "cancelled while it ran"],
)
async def test_the_end_of_an_attempt_costs_what_was_delivered(
    store: Store, settle: Any, outcome: Outcome, expected: UsageFigures
) -> None:
    """Images, pixels and device time count if there is a result; a failure costs nothing; a request that was cancelled
    while it ran costs its finished images and the time since its start."""
    await store.jobs.submit(make_job(batch_size=len(getattr(outcome, "images", ())) or 1))
    lease = await claimed(store)
    assert await store.leases.finish(lease, outcome, NOW + 3)
    await settle()

    assert expected == await total(store)


async def test_a_request_that_ends_before_its_start_costs_nothing(store: Store, settle: Any) -> None:
    """A cancel by the user or the operator, and a deadline that has passed, count the request alone."""
    for _ in range(2):
        await store.jobs.submit(make_job())
    await store.jobs.submit(replace(make_job(), start_deadline=NOW))
    [first, second, _] = await store.queue.list_queued()
    await store.jobs.cancel(first, NOW)
    await store.queue.cancel_queued([second], NOW)
    assert 1 == await store.jobs.expire_overdue(NOW, 10)
    await settle()

    assert UsageFigures(requests=3, cancelled=2, failed=1) == await total(store)


async def test_a_request_counts_once(store: Store, settle: Any) -> None:
    """Attempts that return it to the queue count nothing; an end that is reported twice, or by a worker that has lost
    its lease, counts once."""
    await store.jobs.submit(make_job())
    lost = await claimed(store, seconds=-1)
    await store.leases.requeue_expired(NOW)
    assert await store.leases.finish(await claimed(store), Released("stopping"), NOW)
    lease = await claimed(store)
    assert await store.leases.finish(lease, success("a.png"), NOW)
    assert not await store.leases.finish(lease, success("a.png"), NOW)
    assert not await store.leases.finish(lost, BROKEN, NOW)
    await store.jobs.cancel(lease.job.id, NOW)
    await settle()

    assert SUCCESS == await total(store)


async def test_a_request_that_exhausts_its_attempts_has_failed(store: Store, settle: Any) -> None:
    """The last of its lost leases ends it."""
    await store.jobs.submit(make_job())
    for _ in range(3):
        await store.leases.finish(await claimed(store), LOST, NOW)
    await settle()

    assert UsageFigures(requests=1, failed=1) == await total(store)


async def test_figures_are_grouped(store: Store, settle: Any) -> None:
    """Each sum is about the fields that it is grouped by; one user's sums are theirs alone."""
    key = make_key()
    await end(store, success("a.png"), user="ann", key=key)
    await end(store, success("b.png"), user="bob")
    await end(store, success("c.png"), NOW + DAY, user="ann", key=key)
    await settle()

    two = SUCCESS + SUCCESS
    assert [two, SUCCESS] == [each.figures for each in await sums(store, "user")]
    assert [("ann", key.id)] == [(each.user, each.key_id) for each in await sums(store, "user", "key", user="ann")]
    by_day = await sums(store, "day")
    assert [(TODAY, two), (date.fromordinal(TODAY.toordinal() + 1), SUCCESS)] == [(e.day, e.figures) for e in by_day]
    assert [(APP, two + SUCCESS)] == [(each.app, each.figures) for each in await sums(store, "app")]
    assert 3 == len(await sums(store, *ALL))
    assert 2 == len(await store.usage.sums(TODAY, TODAY, by=ALL, limit=100))
    assert 1 == len(await store.usage.sums(TODAY, TODAY, by=ALL, limit=1))
    assert [] == await store.usage.sums(date(1999, 1, 1), date(1999, 1, 2), by=ALL, limit=1)


async def test_deleted_requests_stay_counted(store: Store, settle: Any) -> None:
    """Neither the deletion of a request nor the end of its key changes a sum."""
    key = make_key()
    await store.api_keys.add(key)
    await end(store, success("a.png"), key=key)
    await settle()
    await store.api_keys.revoke(key.id, NOW)
    assert 1 == await store.jobs.delete_finished(NOW + 1, NOW, 10)

    assert [(key.id, SUCCESS)] == [(each.key_id, each.figures) for each in await sums(store, "key")]


@pytest.mark.parametrize("back", [60.0, DAY, 6 * DAY])
async def test_a_clock_that_goes_back_changes_no_past_day(store: Store, settle: Any, back: float) -> None:
    """What ends then counts to the newest day of the ledger."""
    await end(store, success("a.png"), NOW - back)
    await end(store, success("b.png"), NOW)
    before = (await sums(store, "day"))[:-1]
    await end(store, success("c.png"), NOW - back)
    await settle()

    assert before == (await sums(store, "day"))[: len(before)]
    assert 3 == (await total(store)).requests
    assert TODAY == (await sums(store, "day"))[-1].day


async def test_a_clock_that_was_far_ahead_does_not_keep_the_ledger(store: Store, settle: Any) -> None:
    """After it is set right, requests count to the day that it is."""
    await end(store, success("a.png"), NOW + 400 * DAY)
    await end(store, success("b.png"), NOW)
    await settle()

    assert [TODAY, date.fromordinal(TODAY.toordinal() + 400)] == [each.day for each in await sums(store, "day")]


async def test_a_jump_of_the_clock_charges_at_most_a_day(store: Store, settle: Any) -> None:
    """The time of a cancelled request is from its start to its end, within a day, and never below zero."""
    for now in (NOW + 400 * DAY, NOW - 5):
        await store.jobs.submit(make_job())
        lease = await claimed(store)
        await store.leases.finish(lease, Cancelled(()), now)
    await settle()

    assert DAY == (await total(store)).device_seconds


async def test_entries_are_added_up_once(store: Store, second_store: Store) -> None:
    """Processes that add up at the same time, while others end requests, count each entry once."""
    for k in range(40):
        await store.jobs.submit(make_job(user=f"u{k % 3}"))

    async def work(of: Store) -> None:
        while lease := await of.leases.claim(claim_request()):
            await of.leases.finish(lease, success(f"{lease.job.id}.png"), NOW)
            await of.usage.add_up(3)

    await asyncio.gather(*(work(each) for each in (store, second_store) for _ in range(3)))
    while await store.usage.add_up(7):
        pass

    assert 40 == (await total(store)).requests
    assert 40 == sum(each.ends.finished for each in await store.usage.samples(0, 2**30))


async def test_ends_are_sampled_by_the_minute(store: Store) -> None:
    """Counts, waits, total times and the error of the estimates of the requests that ended in a minute, whatever the
    order in which they are added up."""
    for wait, total_seconds in ((1.0, 4.0), (2.0, 4.0), (100.0, 500.0)):
        await store.jobs.submit(make_job())
        lease = await claimed(store, now=NOW + wait)
        await store.leases.finish(lease, success("a.png"), NOW + total_seconds)
        await store.usage.add_up(100)
    await end(store, BROKEN, NOW)
    await store.usage.add_up(100)

    first, later = await store.usage.samples(int(NOW // 60), int(NOW // 60) + 100)
    assert (int(NOW // 60), APP, 2, 1) == (first.minute, first.app, first.ends.finished, first.ends.failed)
    assert first.gauges is None
    assert pytest.approx(2.0, rel=0.15) == first.ends.queue_wait.percentile(0.95)
    assert pytest.approx(4.0, rel=0.15) == first.ends.total.percentile(0.5)
    assert pytest.approx(0.75, rel=0.15) == first.ends.estimate_error.percentile(0.5)
    assert pytest.approx(500.0, rel=0.15) == later.ends.total.percentile(0.5)


async def test_minutes_become_steps(store: Store) -> None:
    """A step has the largest of each gauge, and the sums of the counts and histograms of its minutes."""
    minute = int(NOW // 600) * 10
    gauges = Gauges(queued=3, oldest_seconds=None, running=1, workers=2)
    await store.usage.sample(minute, {APP: gauges})
    await store.usage.sample(minute + 9, {APP: replace(gauges, queued=2, oldest_seconds=4.0, running=5)})
    await store.usage.sample(minute + 10, {APP: gauges})
    for later, seconds in ((0.0, 2.0), (120.0, 8.0), (240.0, 2.0)):
        await store.jobs.submit(make_job(submitted_at=60.0 * minute + later))
        lease = await claimed(store, now=60.0 * minute + later)
        await store.leases.finish(lease, success("a.png"), 60.0 * minute + later + seconds)
        await store.usage.add_up(10)

    first, second = await store.usage.samples(minute, minute + 20, minutes=10)

    assert (minute, minute + 10) == (first.minute, second.minute)
    assert Gauges(queued=3, oldest_seconds=4.0, running=5, workers=2) == first.gauges
    assert (3, 0) == (first.ends.finished, second.ends.finished)
    assert pytest.approx(2.0, rel=0.15) == first.ends.total.percentile(0.6)
    assert pytest.approx(8.0, rel=0.15) == first.ends.total.percentile(0.95)
    assert second.ends.total.percentile(0.5) is None


async def test_the_first_sample_of_a_minute_counts(store: Store, second_store: Store) -> None:
    """Gauges and ends share a row, in either order; old samples are deleted, and those of a clock that was wrong."""
    gauges = Gauges(queued=3, oldest_seconds=2.5, running=1, workers=2)
    minute = int(NOW // 60)
    await end(store, success("a.png"), NOW)
    assert not await store.usage.is_sampled(minute)
    await store.usage.add_up(10)
    await store.usage.sample(minute, {APP: gauges, EDIT: replace(gauges, oldest_seconds=None)})
    await second_store.usage.sample(minute, {APP: replace(gauges, queued=9)})
    assert await second_store.usage.is_sampled(minute)
    await end(store, success("b.png"), NOW)
    await store.usage.add_up(10)

    found = {each.app: each for each in await store.usage.samples(minute, minute + 1)}
    assert gauges == found[APP].gauges
    assert 2 == found[APP].ends.finished
    assert 0 == found[EDIT].ends.finished
    await store.usage.delete_samples(minute - 5, minute + 5)
    assert 2 == len(await store.usage.samples(0, 2**30))
    await store.usage.delete_samples(minute + 1, minute + 5)
    assert [] == await store.usage.samples(0, 2**30)
