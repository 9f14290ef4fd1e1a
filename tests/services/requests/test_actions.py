"""Deletion and bulk actions against workers, maintenance and other callers that act at the same moment."""

import asyncio
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import CountDiffers, NotFound, NotPossible, QuotaExceeded
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.listing import JobFilter
from pipelet.domain.jobs.outcome import Cancelled, CancelledBy
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.access import Caller
from pipelet.services.queue.maintenance import Maintenance
from pipelet.services.requests.actions import RequestActions
from pipelet.services.requests.bulk import BulkActions, BulkResult, Selection
from pipelet.wiring.catalog_parser import parse
from tests.support.jobs import FakeClock, claim_request, make_job, make_key, success

NOW = 1_000_000.0
CATALOG = parse((files("pipelet") / "catalog.toml").read_text("utf-8"))


def caller(user: str = "ann", *scopes: Scope) -> Caller:
    key = ApiKey(id=user, name=user, user=user, hash=user.encode(), created_at=0.0, scopes=frozenset(scopes))
    return Caller(key)


@pytest.fixture
def clock(store: Store) -> FakeClock:
    clock = FakeClock()
    store.clock = clock
    return clock


@pytest.fixture
def blobs(tmp_path: Path) -> DiskBlobStore:
    return DiskBlobStore(tmp_path / "files", signing_key=b"k" * 32, url_ttl_seconds=60)


@pytest.fixture
def actions(store: Store, blobs: DiskBlobStore, clock: FakeClock) -> RequestActions:
    return RequestActions(store, blobs, CATALOG)


def stored(folder: Path) -> list[str]:
    return [path.name for path in (folder / "files").rglob("*.png")]


async def submit(store: Store, count: int, **changes: str) -> list[Job]:
    jobs = [make_job(submitted_at=NOW - count + k, **changes) for k in range(count)]  # type: ignore[arg-type]
    for job in jobs:
        await store.jobs.submit(job)
    return jobs


async def test_a_delete_while_the_worker_stores_leaves_no_file(
    store: Store, actions: RequestActions, blobs: DiskBlobStore, tmp_path: Path
) -> None:
    """It is refused until the request has ended; the one after that takes the file along."""
    [job] = await submit(store, 1)
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    await store.files.reserve(lease, ["outputs/a.png"])

    refused = asyncio.create_task(actions.delete(caller(), job.id))
    await blobs.put("outputs/a.png", b"png", "image/png")
    with pytest.raises(NotPossible, match="is running"):
        await refused
    await store.leases.finish(lease, success("outputs/a.png"), NOW)
    assert ["a.png"] == stored(tmp_path)
    await actions.delete(caller(), job.id)

    assert [] == stored(tmp_path)
    assert [] == await store.files.orphaned(NOW * 2, 10)


async def test_a_worker_that_lost_its_lease_leaves_no_file(
    store: Store, actions: RequestActions, blobs: DiskBlobStore, clock: FakeClock, tmp_path: Path
) -> None:
    """It stores a file of a request that was deleted in between, and maintenance deletes that file."""
    [job] = await submit(store, 1)
    lease = await store.leases.claim(claim_request(seconds=10))
    assert lease is not None
    await store.files.reserve(lease, ["outputs/late.png"])
    await store.leases.requeue_expired(NOW + 11)
    await actions.delete(caller(), job.id)
    await blobs.put("outputs/late.png", b"png", "image/png")
    assert not await store.leases.finish(lease, success("outputs/late.png"), NOW + 12)

    maintenance = Maintenance(store, blobs, retention_seconds=86400, lease_seconds=10)
    await maintenance.prune()
    assert ["late.png"] == stored(tmp_path)
    clock.time += 3600
    await maintenance.prune()

    assert [] == stored(tmp_path)


async def test_either_the_delete_or_the_claim_wins(store: Store, actions: RequestActions) -> None:
    """A request that a worker has claimed is not deleted, and one that is deleted was not claimed."""
    for _ in range(12):
        [job] = await submit(store, 1)
        found = await asyncio.gather(
            store.leases.claim(claim_request()), actions.delete(caller(), job.id), return_exceptions=True
        )
        lease, refusal = found
        if lease is None:
            assert refusal is None
            assert await store.jobs.get(job.id) is None
        else:
            assert isinstance(refusal, NotPossible)
            assert await store.jobs.get(job.id) is not None


async def test_two_deletes_at_once(store: Store, actions: RequestActions) -> None:
    """Exactly one deletes the request; for the other it does not exist."""
    [job] = await submit(store, 1)
    operator = caller("op", Scope.GENERATE, Scope.OPERATE)

    found = await asyncio.gather(
        actions.delete(caller(), job.id), actions.delete(operator, job.id), return_exceptions=True
    )

    assert 1 == found.count(None)
    assert 1 == sum(isinstance(each, NotFound) for each in found)


async def test_a_flood_is_cancelled_in_one_call(store: Store, actions: RequestActions) -> None:
    """An operator cancels all that a user has waiting, over several slices and pages; the others' requests stay."""
    await submit(store, 53, user="flood")
    [other] = await submit(store, 1)
    operator, wanted = caller("op", Scope.GENERATE, Scope.OPERATE), JobFilter(user="flood")
    bulk = BulkActions(store, actions, page_size=7)

    with pytest.raises(CountDiffers) as refused:
        await bulk.cancel(operator, Selection(wanted=wanted, expect=52))
    assert 53 == refused.value.found
    result = await bulk.cancel(operator, Selection(wanted=wanted, expect=53))

    assert BulkResult(done=53, skipped=0) == result
    [entry] = await store.audit.list_entries(10)
    assert ("requests.cancel", "user=flood", {"requests": 53}) == (entry.action, entry.target, entry.after)
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    assert other.id == lease.job.id
    assert await store.leases.claim(claim_request()) is None


async def test_too_many_are_refused(store: Store, actions: RequestActions) -> None:
    """A filter that finds more than a bulk action takes does nothing."""
    await submit(store, 4)

    with pytest.raises(NotPossible, match="more than 3 requests"):
        await BulkActions(store, actions, max_found=3).delete(caller(), Selection(wanted=JobFilter(), expect=4))
    assert 4 == sum(counts.queued for counts in (await store.queue.counts()).values())


async def test_a_retry_belongs_to_the_key_that_asked(store: Store, actions: RequestActions) -> None:
    """A user's own retry counts against the key that made it; an operator's against that of the first request."""
    [job] = await submit(store, 1)
    assert await actions.cancel_job(caller(), job)

    own = await store.jobs.get(await actions.retry_job(caller(), job))
    by_operator = await store.jobs.get(await actions.retry_job(caller("op", Scope.OPERATE), job))

    assert own is not None
    assert by_operator is not None
    assert ("ann", "ann") == (own.user, own.key_id)
    assert ("ann", job.key_id) == (by_operator.user, by_operator.key_id)


async def test_all_that_match_are_retried_once(store: Store, actions: RequestActions) -> None:
    """What was retried names its copy, and the filter that leaves it out has nothing more to retry."""
    jobs = await submit(store, 3)
    for job in jobs:
        assert await actions.cancel_job(caller(), job)
    first = await actions.retry_job(caller(), jobs[0])
    wanted, operator = JobFilter(user="ann", state=JobState.CANCELLED, retried=False), caller("op", Scope.OPERATE)

    for expect in (2, 0):
        result = await BulkActions(store, actions).retry(operator, Selection(wanted=wanted, expect=expect))
        assert BulkResult(done=expect, skipped=0) == result

    known = await store.jobs.get_many([job.id for job in jobs])
    copies = [known[job.id].retried_as or "" for job in jobs]
    assert first == copies[0]
    assert [JobState.QUEUED] * 3 == [job.state for job in (await store.jobs.get_many(copies)).values()]


async def test_a_retry_that_is_refused_marks_nothing(store: Store, actions: RequestActions) -> None:
    """The request stays one that was not retried."""
    [job] = await submit(store, 1)
    assert await actions.cancel_job(caller(), job)
    limited = replace(make_key(), user="ann", max_queued_images=0)
    await store.api_keys.add(limited)

    with pytest.raises(QuotaExceeded):
        await actions.retry_job(Caller(limited), job)

    known = await store.jobs.get(job.id)
    assert known is not None
    assert known.retried_as is None


@pytest.mark.parametrize(("who", "by"), [("ann", CancelledBy.USER), ("op", CancelledBy.OPERATOR)])
@pytest.mark.parametrize("runs", [False, True])
async def test_a_cancel_notes_who_it_was(
    store: Store, actions: RequestActions, who: str, by: CancelledBy, runs: bool
) -> None:
    """The user of the request, or an operator, whether it waits or runs."""
    [job] = await submit(store, 1)
    lease = await store.leases.claim(claim_request()) if runs else None
    selection = Selection(ids=[job.id])

    result = await BulkActions(store, actions).cancel(caller(who, Scope.OPERATE), selection, running=True)
    if lease is not None:
        await store.leases.finish(lease, Cancelled(()), NOW)

    known = await store.jobs.get(job.id)
    assert known is not None
    assert (1, by) == (result.done, known.cancelled_by)
