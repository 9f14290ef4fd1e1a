"""What every store guarantees about repeated submits, start deadlines, and shorter retention."""

import asyncio
from dataclasses import replace

import pytest

from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import CancelResult, Job, JobState, Lease
from pipelet.domain.jobs.outcome import Cancelled, Failure, FailureKind, Interrupted, Released
from pipelet.domain.ports.store import Store
from tests.support.jobs import APP, claim_request, make_job, make_key, success

LOST = Interrupted(Failure(FailureKind.WORKER_LOST, "lost"))
NOW = 1_000_000.0
DAY = 86_400.0


def once(job: Job, *, key: str = "k", fingerprint: str = "f", user: str = "ann") -> IdempotencyKey:
    return IdempotencyKey(user=user, key=key, fingerprint=fingerprint, job_id=job.id, expires_at=job.submitted_at + DAY)


async def claimed(store: Store, *, now: float = NOW) -> Lease:
    lease = await store.leases.claim(claim_request(now=now))
    assert lease is not None
    return lease


async def read(store: Store, job: Job) -> Job:
    found = await store.jobs.get(job.id)
    assert found is not None
    return found


async def test_a_key_stands_for_the_first_request(store: Store, second_store: Store) -> None:
    """A later submit with the key, in any process, is not queued: the first request is returned."""
    first, second = make_job(), make_job()

    assert once(first) == await store.jobs.submit_once(first, once(first))
    assert once(first) == await second_store.jobs.submit_once(second, once(second, fingerprint="other"))

    assert 1 == (await store.queue.counts())[APP].queued
    assert await store.jobs.get(second.id) is None
    assert once(first) == await second_store.jobs.find_idempotency_key("ann", "k", NOW)
    assert await store.jobs.find_idempotency_key("ann", "other", NOW) is None


async def test_a_key_is_its_users_own(store: Store) -> None:
    """Two users may have the same key, for two requests."""
    for user in ("ann", "bob"):
        job = make_job(user=user)
        assert once(job, user=user) == await store.jobs.submit_once(job, once(job, user=user))

    assert 2 == (await store.queue.counts())[APP].queued


async def test_racing_submits_with_one_key_make_one_request(store: Store, second_store: Store) -> None:
    """Of concurrent submits with one key, from two processes, one is queued, and all get the same result."""
    for k in range(20):
        jobs = [make_job(priority=place % 3) for place in range(8)]

        answers = await asyncio.gather(
            *(
                (store, second_store)[place % 2].jobs.submit_once(job, once(job, key=str(k)))
                for place, job in enumerate(jobs)
            )
        )

        [job_id] = {answer.job_id for answer in answers}
        assert [job_id] == [job.id for job in jobs if await store.jobs.get(job.id)]
    assert 20 == (await store.queue.counts())[APP].queued


async def test_a_key_is_free_again_after_a_day(store: Store) -> None:
    """An expired key stands for the next request, also before it is deleted; deletion is bounded."""
    first = make_job()
    await store.jobs.submit_once(first, once(first))
    for key in ("a", "b", "c"):
        job = make_job()
        await store.jobs.submit_once(job, once(job, key=key))
    assert 0 == await store.jobs.delete_idempotency_keys(NOW + DAY - 1, 10)

    later = make_job(submitted_at=NOW + DAY)
    assert later.id == (await store.jobs.submit_once(later, once(later))).job_id

    assert [2, 1, 0] == [await store.jobs.delete_idempotency_keys(NOW + DAY, 2) for _ in range(3)]
    assert await store.jobs.find_idempotency_key("ann", "k", NOW + DAY) == once(later)


async def test_a_refused_submit_leaves_the_key_free(store: Store) -> None:
    """A submit that a full API key refuses leaves the idempotency key free; a repeated submit returns its request even
    if the API key is full."""
    api_key = make_key(max_queued_images=1)
    await store.api_keys.add(api_key)
    first, refused = make_job(key=api_key), make_job(key=api_key)
    await store.jobs.submit_once(first, once(first, key="first"))

    with pytest.raises(QuotaExceeded):
        await store.jobs.submit_once(refused, once(refused))
    again = make_job(key=api_key)
    assert first.id == (await store.jobs.submit_once(again, once(again, key="first"))).job_id

    await claimed(store)
    assert refused.id == (await store.jobs.submit_once(refused, once(refused))).job_id


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
    words = {"prompt": 'a "quoted" über-cat', "negative_prompt": "dogs", "guidance_scale": 4.5, "seed": 2**53 - 9}
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


async def test_a_running_request_stops_only_on_request(store: Store, second_store: Store) -> None:
    """Only its own worker gets the cancel request; a repeated cancel has the same result until the request has
    ended."""
    job, other = await store.jobs.submit(make_job()), await store.jobs.submit(make_job())
    lease = await claimed(store)
    await claimed(store)
    assert CancelResult.ALREADY_RUNNING == await second_store.jobs.cancel(job.id, NOW)
    assert set() == await store.leases.list_cancel_requests("w1")

    for _ in range(2):
        assert CancelResult.STOPPING == await second_store.jobs.cancel(job.id, NOW, running=True)
        assert {lease.token} == await store.leases.list_cancel_requests("w1")
    assert CancelResult.ALREADY_RUNNING == await second_store.jobs.cancel(job.id, NOW)
    assert set() == await store.leases.list_cancel_requests("w2")

    images = success("outputs/a.png").images
    await store.files.reserve(lease, ["outputs/a.png", "outputs/b.png"])
    assert await store.leases.finish(lease, Cancelled(images), NOW + 1)
    assert set() == await store.leases.list_cancel_requests("w1")
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
            is_to_stop = lease.token in await second_store.leases.list_cancel_requests("w1")
            await second_store.leases.finish(lease, Cancelled(()) if is_to_stop else success(), NOW + 1)

    async def cancel(job: Job) -> CancelResult:
        return await store.jobs.cancel(job.id, NOW, running=True)

    *answers, _, _ = await asyncio.gather(*map(cancel, jobs), work(), work())
    await store.jobs.expire_overdue(NOW + 1, 100)

    ends = {
        CancelResult.CANCELLED: {JobState.CANCELLED},
        CancelResult.STOPPING: {JobState.CANCELLED, JobState.SUCCEEDED},
        CancelResult.ALREADY_FINISHED: {JobState.SUCCEEDED},
    }
    for job, answer in zip(jobs, answers, strict=True):
        assert (await read(store, job)).state in ends[answer]
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
