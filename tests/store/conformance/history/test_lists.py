"""Lists: their order, pages and filters."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.listing import TEXT_WINDOW, JobFilter, Place, Reader
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind
from pipelet.domain.ports.store import Store
from pipelet.store.history import SCAN_LIMIT
from tests.store.conformance.calls import DAY, NOW, claimed, read
from tests.support.jobs import APP, EDIT, make_job, make_key, success

ANN = Reader(user="ann")


async def find(store: Store, *, reader: Reader = ANN, limit: int = 100, now: float = NOW, **wanted: Any) -> list[str]:
    """Return all pages of a list."""
    found: list[str] = []
    after: Place | None = None
    for _ in range(100):
        page = await store.history.find_ids(JobFilter(**wanted), reader, after=after, limit=limit, now=now)
        assert len(page.ids) <= limit
        found += page.ids
        after = page.next
        if after is None:
            return found
    raise AssertionError("the list does not end")


async def submit(store: Store, count: int, **changes: Any) -> list[str]:
    """Submit jobs one second apart, and return their ids, newest first."""
    jobs = [make_job(submitted_at=NOW + k, **changes) for k in range(count)]
    for begin in range(0, count, 100):
        await asyncio.gather(*map(store.jobs.submit, jobs[begin : begin + 100]))
    return [job.id for job in jobs][::-1]


@pytest.mark.parametrize("limit", [1, 3, 5, 6])
async def test_pages_hold_each_request_once(store: Store, limit: int) -> None:
    """The newest is first, those of the same moment included, and no request of another user is there."""
    same = sorted([make_job(submitted_at=NOW) for _ in range(3)], key=lambda job: job.id, reverse=True)
    for job in same:
        await store.jobs.submit(job)
    newer = [make_job(submitted_at=NOW + k) for k in (1, 2, 3)]
    for job in newer:
        await store.jobs.submit(job)
        await store.jobs.submit(make_job(user="bob", submitted_at=NOW + 1))

    expected = [job.id for job in [*reversed(newer), *same]]
    assert expected == await find(store, user="ann", limit=limit)
    assert 9 == len(set(await find(store, limit=limit)))
    assert [] == await find(store, user="eve", limit=limit)


async def test_a_move_to_the_front_changes_no_list(store: Store) -> None:
    """A list goes by the time of the submit, not by the order of the queue."""
    ids = await submit(store, 4)
    assert await store.queue.move_to_front(ids[1], NOW + 9)

    assert ids == await find(store, user="ann", limit=2)


async def test_a_page_continues_after_a_request_that_was_deleted(store: Store) -> None:
    """A cursor is a place: it stays good when the request at it is gone, and newer ones do not shift the pages."""
    ids = await submit(store, 4)
    page = await store.history.find_ids(JobFilter(user="ann"), ANN, after=None, limit=2, now=NOW)
    await store.jobs.cancel(ids[1], NOW + 5)
    await store.history.delete(ids[1], NOW + 5)
    await store.jobs.submit(make_job(submitted_at=NOW + 9))

    after = await store.history.find_ids(JobFilter(user="ann"), ANN, after=page.next, limit=2, now=NOW)
    assert tuple(ids[2:]) == after.ids
    assert after.next is None


async def test_a_state_is_found_among_all_users(store: Store) -> None:
    """Also if the first page of the list that all states share has none of it."""
    broken = Failed(Failure(FailureKind.INTERNAL, "broken"))
    for user, outcome in (("ann", broken), ("bob", broken), *(("ann", success("a.png")),) * 3):
        await store.jobs.submit(make_job(user=user))
        assert await store.leases.finish(await claimed(store), outcome, NOW)
    waiting = await submit(store, SCAN_LIMIT + 1, user="bob")

    async def first_page(state: JobState, **wanted: Any) -> tuple[str, ...]:
        page = await store.history.find_ids(JobFilter(state=state, **wanted), ANN, after=None, limit=10, now=NOW)
        assert set(page.states) <= {state}
        return page.ids

    assert 2 == len(await first_page(JobState.FAILED))
    assert 2 == len(await first_page(JobState.FAILED, error_type=FailureKind.INTERNAL.value))
    assert waiting[:10] == [*await first_page(JobState.QUEUED)]
    assert () == await first_page(JobState.RUNNING)
    assert () == await first_page(JobState.SUCCEEDED)
    assert 3 == len(await find(store, state=JobState.SUCCEEDED))
    assert 2 == len(await find(store, state=JobState.FAILED, limit=1))


async def test_filters(store: Store) -> None:
    """Each criterion leaves out what does not match, alone and with others."""
    key = make_key()
    await store.api_keys.add(key)
    failed, running, edit, urgent, other = (
        make_job(submitted_at=NOW + 1),
        make_job(submitted_at=NOW + 2, key=key),
        make_job(submitted_at=NOW + 3, app=EDIT),
        make_job(submitted_at=NOW + 4, priority=-7),
        make_job(submitted_at=NOW + 5, user="bob"),
    )
    for job in (failed, running, edit, urgent, other):
        await store.jobs.submit(job)
    lease = await claimed(store, worker="w1")
    await store.leases.finish(lease, Failed(Failure(FailureKind.OUT_OF_MEMORY, "too large")), NOW + 10)
    await claimed(store, worker="w2")

    async def found(**wanted: Any) -> set[str]:
        return set(await find(store, **wanted))

    assert {failed.id} == await found(state=JobState.FAILED)
    assert {failed.id} == await found(error_type="out_of_memory")
    assert {failed.id} == await found(worker="w1")
    assert {running.id} == await found(worker="w2", state=JobState.RUNNING)
    assert {running.id} == await found(key_id=key.id)
    assert {edit.id} == await found(app=EDIT)
    assert {urgent.id} == await found(priority=-7)
    assert {other.id} == await found(user="bob")
    assert {edit.id, urgent.id} == await found(since=NOW + 3, until=NOW + 5)
    assert {urgent.id} == await found(since=NOW + 3, until=NOW + 5, app=APP)
    assert set() == await found(user="bob", app=EDIT)
    assert set() == await found(error_type="nothing", state=JobState.FAILED)


async def test_what_was_retried_is_known(store: Store, second_store: Store) -> None:
    """To the lists and the count, of all users and of one; the mark names the newest copy."""
    jobs = [make_job(submitted_at=NOW + k) for k in range(3)]
    for job in jobs:
        await store.jobs.submit(job)
        await store.leases.finish(await claimed(store), Failed(Failure(FailureKind.INTERNAL, "broken")), NOW + 9)
    assert (await read(second_store, jobs[0])).retried_as is None
    for copy in ("first", "second"):
        await store.history.set_retried(jobs[0].id, copy)

    assert "second" == (await read(second_store, jobs[0])).retried_as
    for wanted in ({}, {"user": "ann"}, {"state": JobState.FAILED}):
        assert [jobs[0].id] == await find(store, retried=True, **wanted)
        assert [jobs[2].id, jobs[1].id] == await find(store, retried=False, limit=1, **wanted)
    counts = [
        await store.history.count_in_state(JobFilter(state=JobState.FAILED, retried=retried), now=NOW, limit=9)
        for retried in (None, False, True)
    ]
    assert [3, 2, 1] == counts
    before, after = await store.jobs.revisions([jobs[1].id]), await store.jobs.revisions([jobs[0].id])
    assert (None, "second") == (before[jobs[1].id].retried_as, after[jobs[0].id].retried_as)


async def test_a_page_looks_at_a_bounded_number_of_requests(store: Store) -> None:
    """The list continues where a page ended, so that a rare match is found. A search looks at the newest requests only:
    what is older is not found, on any page, and the list ends there."""
    old = await submit(store, 2, app=EDIT)
    ids = await submit(store, max(SCAN_LIMIT, TEXT_WINDOW) + 3, prompt="a bowl")

    first = await store.history.find_ids(JobFilter(app=EDIT), ANN, after=None, limit=1, now=NOW)
    assert ((), True) == (first.ids, first.next is not None)
    assert old == await find(store, app=EDIT, limit=1)
    assert [] == await find(store, app="nothing")
    assert ids == await find(store, app=APP, limit=500)

    assert ids[:TEXT_WINDOW] == await find(store, user="ann", text="bowl", limit=700)
    [oldest] = await find(store, user="ann", text="bowl", until=NOW + 1)
    assert ids[-1] == oldest


async def test_a_search_looks_at_prompts_and_ids(store: Store) -> None:
    """It finds a part of a prompt in any case, literally, and a whole id."""
    wanted = make_job(prompt='A "Red" Apple, 100%_\\ ripe\nin a bowl')
    for job in (wanted, make_job(prompt="a green pear"), make_job(prompt="1000 apples")):
        await store.jobs.submit(job)

    for text in ('a "red"', "APPLE,", "100%_", "%_\\ RIPE", "ripe\nin", wanted.id):
        assert [wanted.id] == await find(store, user="ann", text=text), text
    for text in ("red apple", "%", wanted.id[:-1], '"prompt"', "negative"):
        assert (1 if text == "%" else 0) == len(await find(store, user="ann", text=text)), text


async def test_a_search_sees_what_its_reader_may_see(store: Store) -> None:
    """Prompts of others need content, and an input that is not to be stored is found by its user alone."""
    own, other = make_job(prompt="a secret"), make_job(prompt="a secret", user="bob")
    private = replace(make_job(prompt="a secret", user="bob"), store_input=False)
    for job in (own, other, private):
        await store.jobs.submit(job)

    assert [own.id] == await find(store, text="secret")
    assert {own.id, other.id} == set(await find(store, text="secret", reader=Reader(user="ann", sees_content=True)))
    assert {other.id, private.id} == set(await find(store, text="secret", reader=Reader(user="bob")))
    assert [] == await find(store, text="secret", reader=Reader())
    assert [private.id] == await find(store, text=private.id)


async def test_what_has_expired_is_in_no_list(store: Store) -> None:
    """A request whose own retention time is over is as good as deleted, unless it is kept."""
    job: Job = replace(make_job(), retention_seconds=10.0)
    await store.jobs.submit(job)
    await store.leases.finish(await claimed(store), success(), NOW + 1)

    assert [job.id] == await find(store, user="ann", now=NOW + 10)
    assert [] == await find(store, user="ann", now=NOW + 11)
    await store.history.set_kept(job.id, True)
    assert [job.id] == await find(store, user="ann", now=NOW + DAY)


async def test_many_requests_are_known_without_a_walk(store: Store) -> None:
    """Whether a user, or all, have more than a number in a time, whose end is not part of it."""
    await submit(store, 3)
    await submit(store, 1, user="bob")

    async def has_more_than(number: int, **wanted: Any) -> bool:
        return await store.history.has_more_than(number, JobFilter(**wanted))

    assert await has_more_than(3)
    assert not await has_more_than(4)
    assert await has_more_than(2, user="ann")
    assert not await has_more_than(3, user="ann")
    assert not await has_more_than(0, user="eve")
    assert await has_more_than(1, user="ann", until=NOW + 2)
    assert not await has_more_than(2, user="ann", until=NOW + 2)
    assert not await has_more_than(2, since=NOW + 1)


async def test_a_state_is_counted_without_a_walk(store: Store) -> None:
    """The requests of all users, of a time whose end is not part of it; not those whose own retention time is over."""
    await submit(store, 3)
    await submit(store, 1, user="bob")
    job: Job = replace(make_job(priority=1, submitted_at=NOW), retention_seconds=10.0)
    await store.jobs.submit(job)
    await store.leases.finish(await claimed(store), Failed(Failure(FailureKind.INTERNAL, "It broke.")), NOW + 1)

    async def count(state: JobState, *, now: float = NOW, limit: int = 100, **time: Any) -> int:
        return await store.history.count_in_state(JobFilter(state=state, **time), now=now, limit=limit)

    assert 4 == await count(JobState.QUEUED)
    assert 3 == await count(JobState.QUEUED, limit=3)
    assert 3 == await count(JobState.QUEUED, until=NOW + 2)
    assert 1 == await count(JobState.QUEUED, since=NOW + 2)
    assert 0 == await count(JobState.RUNNING)
    assert 1 == await count(JobState.FAILED, now=NOW + 10)
    assert 0 == await count(JobState.FAILED, now=NOW + 11)
    await store.history.set_kept(job.id, True)
    assert 1 == await count(JobState.FAILED, now=NOW + DAY)
