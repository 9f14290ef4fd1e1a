"""What every store guarantees for input files: none is orphaned, none is missing."""

import asyncio
from dataclasses import replace

import pytest

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import InputImagesExpired, QuotaExceeded
from pipelet.domain.generation.image import InputImage
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import Failure, FailureKind, Interrupted
from pipelet.domain.ports.store import Store
from tests.support.jobs import claim_request, make_job, make_key, success

FOR_EVER = 2_000_000.0


def editing(*keys: str, key: ApiKey | None = None, submitted_at: float = 1_000_000.0) -> Job:
    input_images = tuple(InputImage(key=each, width=64, height=64) for each in keys)
    return make_job(input_images=input_images, key=key, submitted_at=submitted_at)


async def test_input_files_stay_as_long_as_their_job(store: Store) -> None:
    """From the submit on the files belong to the job, also if it names one twice; they are orphans once it is
    deleted."""
    job = editing("inputs/b.png", "inputs/a.png", "inputs/b.png")
    await store.files.reserve_input_files(job.id, ["inputs/a.png", "inputs/b.png"], 1_000_900.0)
    await store.jobs.submit(job)
    assert [] == await store.files.orphaned(FOR_EVER, 10)

    lease = await store.leases.claim(claim_request())
    assert lease is not None
    assert job.spec.input_images == lease.job.spec.input_images
    await store.leases.finish(lease, Interrupted(Failure(FailureKind.WORKER_LOST, "lost")), 1_000_001.0)
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    await store.files.reserve(lease, ["outputs/a.png"])
    await store.leases.finish(lease, success("outputs/a.png"), 1_000_002.0)
    assert [] == await store.files.orphaned(FOR_EVER, 10)

    assert 1 == await store.jobs.delete_finished(1_000_003.0, 1_000_004.0, 10)
    assert {"inputs/a.png", "inputs/b.png", "outputs/a.png"} == set(await store.files.orphaned(1_000_004.0, 10))


async def test_input_files_without_a_job_become_orphans(store: Store) -> None:
    """If their process died before the submit, the files become orphans later; if the submit was refused, at once."""
    await store.files.reserve_input_files("lost", ["inputs/lost.png"], 1_000_900.0)
    await store.files.reserve_input_files("refused", ["inputs/refused.png"], 1_000_900.0)

    assert ["inputs/refused.png"] == await store.files.release_input_files("refused", 1_000_001.0)
    assert ["inputs/refused.png"] == await store.files.orphaned(1_000_001.0, 10)
    assert {"inputs/refused.png", "inputs/lost.png"} == set(await store.files.orphaned(1_000_900.0, 10))


async def test_a_job_is_queued_with_all_its_input_files_or_not_at_all(store: Store) -> None:
    """Files that are deleted, or will be so soon that maintenance may have started, are not claimed; nor are the others
    then."""
    for number, deleted_at in enumerate((1_000_000.0, 1_000_299.0)):
        job = editing(f"inputs/{number}.png", f"inputs/late{number}.png", "inputs/gone.png")
        await store.files.reserve_input_files(job.id, [f"inputs/{number}.png"], 1_000_900.0)
        await store.files.reserve_input_files(job.id, [f"inputs/late{number}.png"], deleted_at)
        with pytest.raises(InputImagesExpired, match="with them again"):
            await store.jobs.submit(job)
        assert await store.jobs.get(job.id) is None
    assert 4 == len(await store.files.orphaned(1_000_900.0, 10))


async def test_a_job_over_its_keys_limit_claims_no_input_files(store: Store) -> None:
    """The files stay reserved for a retry, and are deleted later otherwise."""
    key = make_key(max_queued_images=1)
    await store.api_keys.add(key)
    await store.jobs.submit(make_job(key=key))
    job = editing("inputs/a.png", key=key)
    await store.files.reserve_input_files(job.id, ["inputs/a.png"], 1_000_900.0)

    with pytest.raises(QuotaExceeded):
        await store.jobs.submit(job)

    assert ["inputs/a.png"] == await store.files.orphaned(1_000_900.0, 10)


async def test_input_files_stay_until_their_last_job_is_deleted(store: Store) -> None:
    """A job is retried twice, the first time while it is queued: whichever is deleted, the others keep the files. When
    all are deleted, so are the files, and they cannot be claimed again."""
    first = editing("inputs/a.png")
    await store.files.reserve_input_files(first.id, ["inputs/a.png"], 1_000_900.0)
    await store.jobs.submit(first)
    await store.jobs.cancel(first.id, 1_000_001.0)
    second, third = first.clone_for_retry("second", 1_000_002.0), first.clone_for_retry("third", 1_000_002.0)
    await store.jobs.submit(second)
    await store.jobs.submit(third)

    for job_id in (third.id, first.id):
        await store.jobs.cancel(job_id, 1_000_003.0)
    assert 2 == await store.jobs.delete_finished(1_000_004.0, 1_000_004.0, 10)
    assert [] == await store.files.orphaned(FOR_EVER, 10)
    fourth = await store.jobs.submit(second.clone_for_retry("fourth", 1_000_005.0))
    await store.jobs.cancel(second.id, 1_000_006.0)
    assert 1 == await store.jobs.delete_finished(1_000_007.0, 1_000_007.0, 10)
    assert [] == await store.files.orphaned(FOR_EVER, 10)

    await store.jobs.cancel(fourth.id, 1_000_008.0)
    assert 1 == await store.jobs.delete_finished(1_000_009.0, 1_000_009.0, 10)
    assert ["inputs/a.png"] == await store.files.orphaned(1_000_009.0, 10)
    with pytest.raises(InputImagesExpired):
        await store.jobs.submit(first.clone_for_retry("fifth", 1_000_010.0))


async def test_a_blanked_input_releases_only_its_own_files(store: Store) -> None:
    """When the job ends, its input files are released, except those of another job."""
    first = replace(editing("inputs/a.png", "inputs/b.png"), store_input=False)
    await store.files.reserve_input_files(first.id, ["inputs/a.png", "inputs/b.png"], 1_000_900.0)
    await store.jobs.submit(first)
    again = first.clone_for_retry("second", 1_000_001.0)
    await store.jobs.submit(replace(again, spec=replace(again.spec, input_images=again.spec.input_images[:1])))

    await store.jobs.cancel(first.id, 1_000_002.0)
    assert ["inputs/b.png"] == await store.files.orphaned(1_000_002.0, 10)
    await store.jobs.cancel(again.id, 1_000_003.0)
    assert {"inputs/a.png", "inputs/b.png"} == set(await store.files.orphaned(1_000_003.0, 10))


async def test_a_retry_during_a_delete_has_all_input_files_or_is_refused(store: Store, second_store: Store) -> None:
    """Two processes retry while a third deletes: queued jobs keep the files; otherwise these are deleted."""
    for number in range(20):
        keys = {f"inputs/{number}{name}.png" for name in "abc"}
        first = editing(*keys)
        await store.files.reserve_input_files(first.id, sorted(keys), 1_000_900.0)
        await store.jobs.submit(first)
        await store.jobs.cancel(first.id, 1_000_001.0)
        again = [first.clone_for_retry(f"{number}.{k}", 1_000_002.0) for k in range(2)]

        responses = await asyncio.gather(
            store.jobs.submit(again[0]),
            second_store.jobs.submit(again[1]),
            store.jobs.delete_finished(1_000_002.0, 1_000_002.0, 10),
            return_exceptions=True,
        )

        assert all(isinstance(each, Job | int | InputImagesExpired) for each in responses), responses
        queued = [job for job in again if await store.jobs.get(job.id)]
        assert len(queued) == sum(isinstance(each, Job) for each in responses)
        assert (set() if queued else keys) == set(await store.files.orphaned(FOR_EVER, 10)) & keys
        for job in queued:
            await store.jobs.cancel(job.id, 1_000_003.0)
        await store.jobs.delete_finished(1_000_004.0, 1_000_004.0, 10)
        assert keys == set(await store.files.orphaned(FOR_EVER, 10))
        await store.files.delete_rows(sorted(keys))


async def test_concurrent_deletes_leave_no_input_files(store: Store, second_store: Store) -> None:
    """Two processes repeatedly delete the last two jobs of one input file at the same time."""
    for number in range(30):
        keys = [f"inputs/{number}{name}.png" for name in "abc"]
        jobs = [editing(*keys) for _ in range(2)]
        await store.files.reserve_input_files(jobs[0].id, keys, 1_000_900.0)
        for job in jobs:
            await store.jobs.submit(job)
            await store.jobs.cancel(job.id, 1_000_001.0)

        forgotten = await asyncio.gather(
            *(each.jobs.delete_finished(1_000_002.0, 1_000_002.0, 1) for each in (store, second_store))
        )

        if sum(forgotten) < len(jobs):  # each left one for the other
            await store.jobs.delete_finished(1_000_002.0, 1_000_002.0, 2)
        assert set(keys) == set(await store.files.orphaned(1_000_002.0, 10))
        await store.files.delete_rows(keys)
