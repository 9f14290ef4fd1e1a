"""What every store guarantees about start deadlines, single attempts, and shorter retention."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pipelet.domain.jobs.job import CancelResult, JobState
from pipelet.domain.jobs.outcome import Failure, FailureKind, Released
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import DAY, LOST, NOW, claimed, read
from tests.support.jobs import APP, claim_request, make_job, success


async def test_an_overdue_request_never_starts(store: Store) -> None:
    """From its deadline on, a claim skips the request and takes the next one."""
    late = await store.jobs.submit(replace(make_job(), start_deadline=NOW + 5))
    other = await store.jobs.submit(replace(make_job(), start_deadline=NOW + 6))

    assert other.id == (await claimed(store, now=NOW + 5)).job.id
    assert await store.leases.claim(claim_request(now=NOW + 5)) is None
    assert JobState.QUEUED == (await read(store, late)).state


async def test_an_overdue_request_ends(store: Store) -> None:
    """An overdue request fails with its own reason, counts for no position any more, and its log says why."""
    late = await store.jobs.submit(replace(make_job(priority=1), start_deadline=NOW + 5))
    patient = await store.jobs.submit(make_job())
    assert 1 == (await store.queue.work_ahead(patient, [APP])).requests

    assert 0 == await store.jobs.expire_overdue(NOW + 4.9, 10)
    assert 1 == await store.jobs.expire_overdue(NOW + 5, 10)

    ended = await read(store, late)
    assert (JobState.FAILED, NOW + 5) == (ended.state, ended.finished_at)
    assert Failure(FailureKind.REQUEST_TIMEOUT, "Request timed out") == ended.failure
    assert 0 == (await store.queue.work_ahead(patient, [APP])).requests
    assert 1 == (await store.queue.counts())[APP].queued
    assert ["INFO", "ERROR"] == [line.level for line in await store.jobs.log(late)]
    assert CancelResult.ALREADY_FINISHED == await store.jobs.cancel(late.id, NOW + 6)


async def test_expiring_overdue_requests_is_bounded(store: Store) -> None:
    """One call ends no more requests than the limit, of any priority, earliest deadline first."""
    jobs = [await store.jobs.submit(replace(make_job(priority=-k), start_deadline=NOW + k)) for k in range(5)]

    assert [2, 2, 1, 0] == [await store.jobs.expire_overdue(NOW + 9, 2) for _ in range(4)]

    assert {JobState.FAILED} == {(await read(store, job)).state for job in jobs}
    assert {} == await store.queue.counts()


async def test_a_deadline_holds_for_every_attempt(store: Store) -> None:
    """The deadline does not touch a running request. One that returns too late is over; one that returns in time may
    start again."""
    job = await store.jobs.submit(replace(make_job(), start_deadline=NOW + 5))
    lease = await claimed(store)
    assert 0 == await store.jobs.expire_overdue(NOW + 9, 10)

    await store.leases.finish(lease, LOST, NOW + 1)
    lease = await claimed(store, now=NOW + 2)
    await store.leases.finish(lease, Released("stopping"), NOW + 6)

    assert await store.leases.claim(claim_request(now=NOW + 6)) is None
    assert 1 == await store.jobs.expire_overdue(NOW + 6, 10)
    assert JobState.FAILED == (await read(store, job)).state


async def test_either_a_claim_wins_or_the_deadline(store: Store, second_store: Store) -> None:
    """In two processes whose clocks differ, each request either starts or expires."""
    jobs = [await store.jobs.submit(replace(make_job(priority=k % 3), start_deadline=NOW + 5)) for k in range(60)]

    async def claim_all() -> set[str]:
        begun = set()
        while lease := await second_store.leases.claim(claim_request(now=NOW + 4.9)):
            begun.add(lease.job.id)
        return begun

    async def end_all() -> int:
        ended = 0
        while some := await store.jobs.expire_overdue(NOW + 5, 3):
            ended += some
        return ended

    first, second, ended = await asyncio.gather(claim_all(), claim_all(), end_all())

    states = {job.id: (await read(store, job)).state for job in jobs}
    assert not first & second
    assert first | second == {job_id for job_id, state in states.items() if state is JobState.RUNNING}
    assert ended == sum(state is JobState.FAILED for state in states.values())
    assert len(jobs) == len(first | second) + ended


async def test_a_request_without_retry_has_one_attempt(store: Store) -> None:
    """If its attempt is cut short, the request fails at once; a released attempt does not count."""
    job = await store.jobs.submit(replace(make_job(), no_retry=True))

    await store.leases.finish(await claimed(store), Released("stopping"), NOW + 1)
    await store.leases.finish(await claimed(store), LOST, NOW + 2)

    ended = await read(store, job)
    assert Failure(FailureKind.WORKER_LOST, "lost (tried 1 time)") == ended.failure


@pytest.mark.parametrize("end", ["success", "failure", "cancel", "deadline"])
async def test_an_input_is_blanked_at_the_end(store: Store, end: str) -> None:
    """Whatever ends the request blanks its input; until then it is complete, and all other fields stay."""
    words: dict[str, Any] = {
        "prompt": 'a "quoted" über-cat',
        "negative_prompt": "dogs",
        "guidance_scale": 4.5,
        "seed": 2**53 - 9,
    }
    job = await store.jobs.submit(replace(make_job(**words), store_input=False, start_deadline=NOW + 5))
    kept = await store.jobs.submit(make_job(priority=-1, **words))
    assert job.spec == (await read(store, job)).spec

    match end:
        case "success":
            lease = await claimed(store)
            assert job.spec == lease.job.spec
            await store.leases.finish(lease, success("outputs/a.png"), NOW + 1)
        case "failure":
            await store.leases.finish(await claimed(store), Released("stopping"), NOW + 1)
            assert job.spec == (await read(store, job)).spec
            for _ in range(3):
                await store.leases.finish(await claimed(store), LOST, NOW + 2)
        case "cancel":
            await store.jobs.cancel(job.id, NOW + 1)
        case "deadline":
            await store.jobs.expire_overdue(NOW + 5, 1)

    ended = await read(store, job)
    assert ended.state.is_final
    assert replace(job.spec, prompt="", negative_prompt=None) == ended.spec
    assert not ended.store_input
    assert kept.spec == (await read(store, kept)).spec


async def test_a_shorter_retention_deletes_early(store: Store) -> None:
    """It is deleted after its own retention time, with its files, and never later than other requests."""
    short, long, plain = [
        await store.jobs.submit(replace(make_job(), retention_seconds=seconds)) for seconds in (10.0, 1e9, None)
    ]
    for name in "abc":
        lease = await claimed(store)
        await store.files.reserve(lease, [f"outputs/{name}.png"])
        await store.leases.finish(lease, success(f"outputs/{name}.png"), NOW + 1)

    assert 0 == await store.jobs.delete_finished(NOW - DAY, NOW + 10.9, 10)
    assert 1 == await store.jobs.delete_finished(NOW - DAY, NOW + 11, 10)

    assert await store.jobs.get(short.id) is None
    assert ["outputs/a.png"] == await store.files.orphaned(NOW + 11, 10)
    assert 2 == await store.jobs.delete_finished(NOW + 2, NOW + 12, 10)
    assert [None, None] == [await store.jobs.get(job.id) for job in (long, plain)]
