"""What every store guarantees about previews of running requests."""

import asyncio

import pytest

from pipelet.domain.generation.preview import Preview
from pipelet.domain.jobs.job import AttemptSignals, Lease
from pipelet.domain.jobs.outcome import Cancelled, Failed, Failure, FailureKind, Outcome, Released
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import LOST, NOW, claimed
from tests.support.jobs import claim_request, make_job, success

SOON = NOW + 10


def preview(index: int = 0, step: int = 2, image: bytes = b"webp") -> Preview:
    return Preview(index=index, step=step, image=image, made_at=NOW + step)


async def running(store: Store) -> Lease:
    await store.jobs.submit(make_job())
    return await claimed(store)


async def watched(store: Store) -> Lease:
    """A running request with a preview."""
    lease = await running(store)
    await store.previews.watch([lease.job.id], SOON, notify=True)
    assert await store.previews.save(lease, preview())
    return lease


async def test_what_clients_watch_is_known_to_its_worker(store: Store, second_store: Store) -> None:
    """From another process, until it expires by itself; asking again puts that off."""
    lease, other = await running(store), await running(store)
    job_id = lease.job.id
    assert {} == await store.leases.list_signals("w1", NOW)
    assert {("ann", True, None, None)} == {*(await second_store.previews.states([job_id, other.job.id])).values()}

    for until in (SOON, SOON + 5):
        await second_store.previews.watch([job_id], until, notify=True)
        assert {lease.token: AttemptSignals(False, until)} == await store.leases.list_signals("w1", NOW)
        assert ("ann", True, until, None) == (await second_store.previews.states([job_id]))[job_id]

    assert {} == await store.leases.list_signals("w2", NOW)
    assert {} == await store.leases.list_signals("w1", SOON + 5)
    await store.jobs.cancel(job_id, NOW, running=True)
    assert {lease.token: AttemptSignals(True, SOON + 5)} == await store.leases.list_signals("w1", NOW)
    assert {lease.token: AttemptSignals(True, None)} == await store.leases.list_signals("w1", SOON + 5)


async def test_a_worker_learns_at_its_first_report_what_clients_watch(store: Store, second_store: Store) -> None:
    """Also of a request that was watched while it waited; those that have ended or are unknown are left out."""
    ended, waiting = await running(store), await store.jobs.submit(make_job())
    await store.leases.finish(ended, success("outputs/a.png"), NOW)
    ids = [ended.job.id, waiting.id, "x" * 20]

    await second_store.previews.watch(ids, SOON, notify=False)

    assert {waiting.id: ("ann", False, SOON, None)} == await store.previews.states(ids)
    assert {} == await store.previews.newest(ids)
    lease = await claimed(store)
    assert AttemptSignals(False, SOON) == await store.leases.report_progress(lease, Progress(0, 12))
    assert {waiting.id: ("ann", True, SOON, None)} == await store.previews.states(ids)
    assert {} == await store.previews.states([])
    unwatched = await running(store)
    assert AttemptSignals(False, None) == await store.leases.report_progress(unwatched, Progress(0, 12))


async def test_a_request_that_ends_while_it_waits_is_not_watched_any_more(store: Store) -> None:
    """Nothing is left of who watched it."""
    job = await store.jobs.submit(make_job())
    await store.previews.watch([job.id], SOON, notify=False)

    await store.jobs.cancel(job.id, NOW)

    assert {} == await store.previews.states([job.id])
    assert 0 == await store.previews.delete_expired(SOON + 1)


async def test_a_preview_replaces_the_one_before(store: Store, second_store: Store) -> None:
    """Any process reads the newest one, and sees that it is another."""
    lease = await watched(store)
    job_id = lease.job.id
    versions = []
    for made in (preview(1, 3, bytes(range(256)) * 180), preview(0, 4)):
        assert await store.previews.save(lease, made)
        assert {job_id: made} == await second_store.previews.newest([job_id, "x" * 20])
        versions.append((await second_store.previews.states([job_id]))[job_id].version)
    assert versions[0] != versions[1]


@pytest.mark.parametrize(
    "end", ["succeeded", "failed", "cancelled", "released", "interrupted", "expired", "worker died"]
)
async def test_a_preview_ends_with_its_attempt(store: Store, second_store: Store, end: str) -> None:
    """However it ends, nothing of it is left; the attempt can store no other, and the next one makes none unasked."""
    lease, other = await watched(store), await watched(store)
    failure = Failure(FailureKind.INTERNAL, "broken")
    outcomes: dict[str, Outcome] = {
        "succeeded": success("outputs/a.png"),
        "failed": Failed(failure),
        "cancelled": Cancelled(()),
        "released": Released("stopping"),
        "interrupted": LOST,
    }
    match end:
        case "expired":
            await second_store.leases.renew(other, NOW + 60)
            await second_store.leases.requeue_expired(NOW + 11)
        case "worker died":
            await second_store.leases.requeue_of_worker("w1", NOW)
        case _:
            await second_store.leases.finish(lease, outcomes[end], NOW + 1)

    ids = [lease.job.id, other.job.id]
    kept = set() if end == "worker died" else {other.job.id}
    assert kept == set(await store.previews.newest(ids))
    assert not await store.previews.save(lease, preview(step=5))
    assert kept == set(await store.previews.newest(ids))
    while await store.leases.claim(claim_request(now=NOW + 11)):
        pass
    assert kept == {job_id for job_id, state in (await store.previews.states(ids)).items() if state.wanted_until}


async def test_a_preview_that_no_client_watches_is_not_stored(store: Store) -> None:
    """Nor is one of an attempt that has lost its lease."""
    unwatched, lost = await running(store), await watched(store)
    await store.leases.renew(unwatched, NOW + 60)
    await store.leases.requeue_expired(NOW + 11)
    again = await claimed(store, now=NOW + 11)
    await store.previews.watch([again.job.id], SOON + 10, notify=True)

    assert not await store.previews.save(unwatched, preview())
    assert not await store.previews.save(lost, preview())
    assert {} == await store.previews.newest([unwatched.job.id, lost.job.id])
    assert await store.previews.save(again, preview())


async def test_previews_that_no_client_asks_for_are_deleted(store: Store) -> None:
    """Those whose time was over before a moment; the others stay."""
    old, new = await watched(store), await watched(store)
    await store.previews.watch([new.job.id], SOON + 30, notify=False)

    assert 0 == await store.previews.delete_expired(SOON)
    assert 1 == await store.previews.delete_expired(SOON + 1)

    assert [new.job.id] == [*(await store.previews.newest([old.job.id, new.job.id]))]
    assert not await store.previews.save(old, preview())


async def test_workers_are_notified_of_new_watchers(store: Store, second_store: Store) -> None:
    """Of the first one; those that only ask again wake no worker."""
    lease, other = await running(store), await running(store)
    async with store.subscribe_work() as rung, asyncio.timeout(10):
        await second_store.previews.watch([lease.job.id], SOON, notify=True)
        await rung.wait()
        rung.clear()
        await second_store.previews.watch([lease.job.id], SOON + 1, notify=False)
        await second_store.previews.watch([other.job.id], SOON, notify=True)
        await rung.wait()


async def test_processes_watch_the_same_requests_at_once(store: Store, second_store: Store) -> None:
    """In whatever order they name them, and while their attempts end, no call fails."""
    leases = [await running(store) for _ in range(8)]
    ids = [lease.job.id for lease in leases]

    async def end(lease: Lease) -> None:
        await second_store.leases.finish(lease, success(f"outputs/{lease.job.id}.png"), NOW)

    watches = [
        each.previews.watch(order, SOON + k, notify=False)
        for k in range(20)
        for each, order in ((store, ids), (second_store, ids[::-1]))
    ]
    saves = [store.previews.save(lease, preview(step=k)) for k in range(5) for lease in leases]
    await asyncio.gather(*watches, *saves, *map(end, leases[:4]))

    assert set(ids[4:]) == set(await store.previews.states(ids))
    assert {} == await store.previews.newest(ids[:4])
