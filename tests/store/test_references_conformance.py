"""What every store promises of the pictures that an edit starts from: none is orphaned, none is missing."""

import asyncio
from dataclasses import replace

import pytest

from pipelet.domain.errors import LimitReached, ReferencesGone
from pipelet.domain.image import Reference
from pipelet.domain.job import Job
from pipelet.domain.keys import ApiKey
from pipelet.domain.outcome import Failure, FailureKind, Interrupted
from pipelet.domain.ports import JobStore
from tests.jobs import make_job, make_key, success, wanting

FOR_EVER = 2_000_000.0


def editing(*keys: str, key: ApiKey | None = None, submitted_at: float = 1_000_000.0) -> Job:
    references = tuple(Reference(key=each, width=64, height=64) for each in keys)
    return make_job(references=references, key=key, submitted_at=submitted_at)


async def test_references_of_a_job_stay_as_long_as_the_job(store: JobStore) -> None:
    """From its submit on they belong to it, also where it names one twice; they are found when it is forgotten."""
    job = editing("inputs/b.png", "inputs/a.png", "inputs/b.png")
    await store.note_references(job.id, ["inputs/a.png", "inputs/b.png"], 1_000_900.0)
    await store.submit(job)
    assert [] == await store.unclaimed_files(FOR_EVER, 10)

    lease = await store.claim(wanting())
    assert lease is not None
    assert job.spec.references == lease.job.spec.references
    await store.finish(lease, Interrupted(Failure(FailureKind.WORKER_LOST, "lost")), 1_000_001.0)
    lease = await store.claim(wanting())
    assert lease is not None
    await store.reserve_files(lease, ["outputs/a.png"])
    await store.finish(lease, success("outputs/a.png"), 1_000_002.0)
    assert [] == await store.unclaimed_files(FOR_EVER, 10)

    assert 1 == await store.delete_finished(1_000_003.0, 1_000_004.0, 10)
    assert {"inputs/a.png", "inputs/b.png", "outputs/a.png"} == set(await store.unclaimed_files(1_000_004.0, 10))


async def test_references_without_a_job_are_deleted_in_time(store: JobStore) -> None:
    """Whoever noted them may have died before the submit; where it was refused instead, they may go at once."""
    await store.note_references("lost", ["inputs/lost.png"], 1_000_900.0)
    await store.note_references("refused", ["inputs/refused.png"], 1_000_900.0)

    assert ["inputs/refused.png"] == await store.release_references("refused", 1_000_001.0)
    assert ["inputs/refused.png"] == await store.unclaimed_files(1_000_001.0, 10)
    assert {"inputs/refused.png", "inputs/lost.png"} == set(await store.unclaimed_files(1_000_900.0, 10))


async def test_a_job_is_queued_with_all_its_references_or_not_at_all(store: JobStore) -> None:
    """Those that are deleted, or so soon that somebody may be about to, are not taken; nor are the others then."""
    for number, deleted_at in enumerate((1_000_000.0, 1_000_299.0)):
        job = editing(f"inputs/{number}.png", f"inputs/late{number}.png", "inputs/gone.png")
        await store.note_references(job.id, [f"inputs/{number}.png"], 1_000_900.0)
        await store.note_references(job.id, [f"inputs/late{number}.png"], deleted_at)
        with pytest.raises(ReferencesGone, match="with them again"):
            await store.submit(job)
        assert await store.get(job.id) is None
    assert 4 == len(await store.unclaimed_files(1_000_900.0, 10))


async def test_a_job_over_its_keys_limit_takes_no_references(store: JobStore) -> None:
    """They are still there for whoever waits, and deleted in time otherwise."""
    key = make_key(max_queued_images=1)
    await store.add_key(key)
    await store.submit(make_job(key=key))
    job = editing("inputs/a.png", key=key)
    await store.note_references(job.id, ["inputs/a.png"], 1_000_900.0)

    with pytest.raises(LimitReached):
        await store.submit(job)

    assert ["inputs/a.png"] == await store.unclaimed_files(1_000_900.0, 10)


async def test_references_stay_until_the_last_job_that_starts_from_them_is_forgotten(store: JobStore) -> None:
    """A job that is made again twice, the first time still waiting: whichever is forgotten, the others keep them. When
    all are gone, so are the references, and they cannot be had again."""
    first = editing("inputs/a.png")
    await store.note_references(first.id, ["inputs/a.png"], 1_000_900.0)
    await store.submit(first)
    await store.cancel(first.id, 1_000_001.0)
    second, third = first.again("second", 1_000_002.0), first.again("third", 1_000_002.0)
    await store.submit(second)
    await store.submit(third)

    for job_id in (third.id, first.id):
        await store.cancel(job_id, 1_000_003.0)
    assert 2 == await store.delete_finished(1_000_004.0, 1_000_004.0, 10)
    assert [] == await store.unclaimed_files(FOR_EVER, 10)
    fourth = await store.submit(second.again("fourth", 1_000_005.0))
    await store.cancel(second.id, 1_000_006.0)
    assert 1 == await store.delete_finished(1_000_007.0, 1_000_007.0, 10)
    assert [] == await store.unclaimed_files(FOR_EVER, 10)

    await store.cancel(fourth.id, 1_000_008.0)
    assert 1 == await store.delete_finished(1_000_009.0, 1_000_009.0, 10)
    assert ["inputs/a.png"] == await store.unclaimed_files(1_000_009.0, 10)
    with pytest.raises(ReferencesGone):
        await store.submit(first.again("fifth", 1_000_010.0))


async def test_an_input_that_is_not_kept_lets_only_its_own_job_go(store: JobStore) -> None:
    """When that ends, its references go, except those that another job starts from."""
    first = replace(editing("inputs/a.png", "inputs/b.png"), keeps_input=False)
    await store.note_references(first.id, ["inputs/a.png", "inputs/b.png"], 1_000_900.0)
    await store.submit(first)
    again = first.again("second", 1_000_001.0)
    await store.submit(replace(again, spec=replace(again.spec, references=again.spec.references[:1])))

    await store.cancel(first.id, 1_000_002.0)
    assert ["inputs/b.png"] == await store.unclaimed_files(1_000_002.0, 10)
    await store.cancel(again.id, 1_000_003.0)
    assert {"inputs/a.png", "inputs/b.png"} == set(await store.unclaimed_files(1_000_003.0, 10))


async def test_a_job_made_again_as_the_first_is_forgotten_has_all_references_or_is_refused(
    store: JobStore, second_store: JobStore
) -> None:
    """Two at once, in two processes, while a third forgets: what was queued keeps them, else they are deleted."""
    for number in range(20):
        keys = {f"inputs/{number}{name}.png" for name in "abc"}
        first = editing(*keys)
        await store.note_references(first.id, sorted(keys), 1_000_900.0)
        await store.submit(first)
        await store.cancel(first.id, 1_000_001.0)
        again = [first.again(f"{number}.{k}", 1_000_002.0) for k in range(2)]

        answers = await asyncio.gather(
            store.submit(again[0]),
            second_store.submit(again[1]),
            store.delete_finished(1_000_002.0, 1_000_002.0, 10),
            return_exceptions=True,
        )

        assert all(isinstance(each, Job | int | ReferencesGone) for each in answers), answers
        queued = [job for job in again if await store.get(job.id)]
        assert len(queued) == sum(isinstance(each, Job) for each in answers)
        assert (set() if queued else keys) == set(await store.unclaimed_files(FOR_EVER, 10)) & keys
        for job in queued:
            await store.cancel(job.id, 1_000_003.0)
        await store.delete_finished(1_000_004.0, 1_000_004.0, 10)
        assert keys == set(await store.unclaimed_files(FOR_EVER, 10))
        await store.forget_files(sorted(keys))


async def test_two_who_forget_at_the_same_time_leave_no_references(store: JobStore, second_store: JobStore) -> None:
    """The last two jobs that start from the same are forgotten by two processes at once, again and again."""
    for number in range(30):
        keys = [f"inputs/{number}{name}.png" for name in "abc"]
        jobs = [editing(*keys) for _ in range(2)]
        await store.note_references(jobs[0].id, keys, 1_000_900.0)
        for job in jobs:
            await store.submit(job)
            await store.cancel(job.id, 1_000_001.0)

        forgotten = await asyncio.gather(
            *(each.delete_finished(1_000_002.0, 1_000_002.0, 1) for each in (store, second_store))
        )

        if sum(forgotten) < len(jobs):  # each left one to the other
            await store.delete_finished(1_000_002.0, 1_000_002.0, 2)
        assert set(keys) == set(await store.unclaimed_files(1_000_002.0, 10))
        await store.forget_files(keys)
