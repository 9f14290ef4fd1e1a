"""What every store promises about submits made again, deadlines for a start, and what is kept for less time."""

import asyncio
from dataclasses import replace

import pytest

from pipelet.domain.errors import LimitReached
from pipelet.domain.idempotency import IdempotencyKey
from pipelet.domain.job import CancelAnswer, Job, Lease, State
from pipelet.domain.outcome import Cancelled, Failure, FailureKind, HandedBack, Interrupted
from pipelet.domain.ports import JobStore
from tests.jobs import APP, make_job, make_key, success, wanting

LOST = Interrupted(Failure(FailureKind.WORKER_LOST, "lost"))
NOW = 1_000_000.0
DAY = 86_400.0


def once(job: Job, *, key: str = "k", fingerprint: str = "f", user: str = "ann") -> IdempotencyKey:
    return IdempotencyKey(user=user, key=key, fingerprint=fingerprint, job_id=job.id, expires_at=job.submitted_at + DAY)


async def claimed(store: JobStore, *, now: float = NOW) -> Lease:
    lease = await store.claim(wanting(now=now))
    assert lease is not None
    return lease


async def read(store: JobStore, job: Job) -> Job:
    found = await store.get(job.id)
    assert found is not None
    return found


async def test_a_key_stands_for_the_first_request(store: JobStore, second_store: JobStore) -> None:
    """Whatever is submitted later with it, in whatever process, is not queued: what it stands for is answered."""
    first, second = make_job(), make_job()

    assert once(first) == await store.submit_once(first, once(first))
    assert once(first) == await second_store.submit_once(second, once(second, fingerprint="other"))

    assert 1 == (await store.counts())[APP].queued
    assert await store.get(second.id) is None
    assert once(first) == await second_store.find_idempotency_key("ann", "k", NOW)
    assert await store.find_idempotency_key("ann", "other", NOW) is None


async def test_a_key_is_its_users_own(store: JobStore) -> None:
    """Two users may have the same key, for two requests."""
    for user in ("ann", "bob"):
        job = make_job(user=user)
        assert once(job, user=user) == await store.submit_once(job, once(job, user=user))

    assert 2 == (await store.counts())[APP].queued


async def test_racing_submits_with_one_key_make_one_request(store: JobStore, second_store: JobStore) -> None:
    """However many submit at once with the same key, from two processes: one is queued, and all are told the same."""
    for k in range(20):
        jobs = [make_job(priority=place % 3) for place in range(8)]

        answers = await asyncio.gather(
            *(
                (store, second_store)[place % 2].submit_once(job, once(job, key=str(k)))
                for place, job in enumerate(jobs)
            )
        )

        [job_id] = {answer.job_id for answer in answers}
        assert [job_id] == [job.id for job in jobs if await store.get(job.id)]
    assert 20 == (await store.counts())[APP].queued


async def test_a_key_is_free_again_after_a_day(store: JobStore) -> None:
    """From then on it stands for the next request, also before it is cleared away; that is bounded."""
    first = make_job()
    await store.submit_once(first, once(first))
    for key in ("a", "b", "c"):
        job = make_job()
        await store.submit_once(job, once(job, key=key))
    assert 0 == await store.delete_idempotency_keys(NOW + DAY - 1, 10)

    later = make_job(submitted_at=NOW + DAY)
    assert later.id == (await store.submit_once(later, once(later))).job_id

    assert [2, 1, 0] == [await store.delete_idempotency_keys(NOW + DAY, 2) for _ in range(3)]
    assert await store.find_idempotency_key("ann", "k", NOW + DAY) == once(later)


async def test_a_refused_submit_leaves_the_key_free(store: JobStore) -> None:
    """A full key of the API takes no idempotency key with it; what is repeated is answered also where nothing fits."""
    api_key = make_key(max_queued_images=1)
    await store.add_key(api_key)
    first, refused = make_job(key=api_key), make_job(key=api_key)
    await store.submit_once(first, once(first, key="first"))

    with pytest.raises(LimitReached):
        await store.submit_once(refused, once(refused))
    again = make_job(key=api_key)
    assert first.id == (await store.submit_once(again, once(again, key="first"))).job_id

    await claimed(store)
    assert refused.id == (await store.submit_once(refused, once(refused))).job_id


async def test_what_is_past_its_deadline_never_begins(store: JobStore) -> None:
    """A claim passes over it, from that very moment on, and takes what is behind it."""
    late = await store.submit(replace(make_job(), start_by=NOW + 5))
    other = await store.submit(replace(make_job(), start_by=NOW + 6))

    assert other.id == (await claimed(store, now=NOW + 5)).job.id
    assert await store.claim(wanting(now=NOW + 5)) is None
    assert State.QUEUED == (await read(store, late)).state


async def test_what_is_past_its_deadline_ends(store: JobStore) -> None:
    """It fails with a reason of its own, counts for nobody's place any more, and its log tells why."""
    late = await store.submit(replace(make_job(priority=1), start_by=NOW + 5))
    patient = await store.submit(make_job())
    assert 1 == (await store.ahead(patient, [APP])).requests

    assert 0 == await store.end_overdue(NOW + 4.9, 10)
    assert 1 == await store.end_overdue(NOW + 5, 10)

    ended = await read(store, late)
    assert (State.FAILED, NOW + 5) == (ended.state, ended.finished_at)
    assert Failure(FailureKind.REQUEST_TIMEOUT, "Request timed out") == ended.failure
    assert 0 == (await store.ahead(patient, [APP])).requests
    assert 1 == (await store.counts())[APP].queued
    assert ["INFO", "ERROR"] == [line.level for line in await store.log(late)]
    assert CancelAnswer.ALREADY_FINISHED == await store.cancel(late.id, NOW + 6)


async def test_ending_the_overdue_is_bounded(store: JobStore) -> None:
    """No more than asked for end in one call, of different levels, earliest deadline first."""
    jobs = [await store.submit(replace(make_job(priority=-k), start_by=NOW + k)) for k in range(5)]

    assert [2, 2, 1, 0] == [await store.end_overdue(NOW + 9, 2) for _ in range(4)]

    assert {State.FAILED} == {(await read(store, job)).state for job in jobs}
    assert {} == await store.counts()


async def test_a_deadline_holds_for_every_attempt(store: JobStore) -> None:
    """It does not touch what runs. What comes back too late is over; what comes back in time may begin again."""
    job = await store.submit(replace(make_job(), start_by=NOW + 5))
    lease = await claimed(store)
    assert 0 == await store.end_overdue(NOW + 9, 10)

    await store.finish(lease, LOST, NOW + 1)
    lease = await claimed(store, now=NOW + 2)
    await store.finish(lease, HandedBack("stopping"), NOW + 6)

    assert await store.claim(wanting(now=NOW + 6)) is None
    assert 1 == await store.end_overdue(NOW + 6, 10)
    assert State.FAILED == (await read(store, job)).state


async def test_either_a_claim_wins_or_the_deadline(store: JobStore, second_store: JobStore) -> None:
    """However they meet, in two processes whose clocks differ, each request either begins or ends."""
    jobs = [await store.submit(replace(make_job(priority=k % 3), start_by=NOW + 5)) for k in range(60)]

    async def claim_all() -> set[str]:
        begun = set()
        while lease := await second_store.claim(wanting(now=NOW + 4.9)):
            begun.add(lease.job.id)
        return begun

    async def end_all() -> int:
        ended = 0
        while some := await store.end_overdue(NOW + 5, 3):
            ended += some
        return ended

    first, second, ended = await asyncio.gather(claim_all(), claim_all(), end_all())

    states = {job.id: (await read(store, job)).state for job in jobs}
    assert not first & second
    assert first | second == {job_id for job_id, state in states.items() if state is State.RUNNING}
    assert ended == sum(state is State.FAILED for state in states.values())
    assert len(jobs) == len(first | second) + ended


async def test_a_single_attempt_is_not_made_again(store: JobStore) -> None:
    """Where an attempt is cut short, the request fails at once; one that is handed back has not been made."""
    job = await store.submit(replace(make_job(), is_single_attempt=True))

    await store.finish(await claimed(store), HandedBack("stopping"), NOW + 1)
    await store.finish(await claimed(store), LOST, NOW + 2)

    ended = await read(store, job)
    assert Failure(FailureKind.WORKER_LOST, "lost (tried 1 time)") == ended.failure


@pytest.mark.parametrize("end", ["success", "failure", "cancel", "deadline"])
async def test_an_input_is_blanked_at_the_end(store: JobStore, end: str) -> None:
    """However the request ends; until then it is whole, and whatever else is known of it stays."""
    words = {"prompt": 'a "quoted" über-cat', "negative_prompt": "dogs", "guidance_scale": 4.5, "seed": 2**53 - 9}
    job = await store.submit(replace(make_job(**words), keeps_input=False, start_by=NOW + 5))
    kept = await store.submit(make_job(priority=-1, **words))
    assert job.spec == (await read(store, job)).spec

    match end:
        case "success":
            lease = await claimed(store)
            assert job.spec == lease.job.spec
            await store.finish(lease, success("outputs/a.png"), NOW + 1)
        case "failure":
            await store.finish(await claimed(store), HandedBack("stopping"), NOW + 1)
            assert job.spec == (await read(store, job)).spec
            for _ in range(3):
                await store.finish(await claimed(store), LOST, NOW + 2)
        case "cancel":
            await store.cancel(job.id, NOW + 1)
        case "deadline":
            await store.end_overdue(NOW + 5, 1)

    ended = await read(store, job)
    assert ended.state.is_final
    assert replace(job.spec, prompt="", negative_prompt=None) == ended.spec
    assert not ended.keeps_input
    assert kept.spec == (await read(store, kept)).spec


async def test_what_its_user_wants_kept_for_less_is_forgotten_early(store: JobStore) -> None:
    """So soon after its end, with its files; and never later than everything else."""
    short, long, plain = [
        await store.submit(replace(make_job(), keep_seconds=seconds)) for seconds in (10.0, 1e9, None)
    ]
    for name in "abc":
        lease = await claimed(store)
        await store.reserve_files(lease, [f"outputs/{name}.png"])
        await store.finish(lease, success(f"outputs/{name}.png"), NOW + 1)

    assert 0 == await store.delete_finished(NOW - DAY, NOW + 10.9, 10)
    assert 1 == await store.delete_finished(NOW - DAY, NOW + 11, 10)

    assert await store.get(short.id) is None
    assert ["outputs/a.png"] == await store.unclaimed_files(NOW + 11, 10)
    assert 2 == await store.delete_finished(NOW + 2, NOW + 12, 10)
    assert [None, None] == [await store.get(job.id) for job in (long, plain)]


async def test_what_runs_is_stopped_only_when_asked(store: JobStore, second_store: JobStore) -> None:
    """Then its worker is told, and nobody else's; asking again gets the same answer, until the request has ended."""
    job, other = await store.submit(make_job()), await store.submit(make_job())
    lease = await claimed(store)
    await claimed(store)
    assert CancelAnswer.ALREADY_RUNNING == await second_store.cancel(job.id, NOW)
    assert set() == await store.cancels("w1")

    for _ in range(2):
        assert CancelAnswer.STOPPING == await second_store.cancel(job.id, NOW, running=True)
        assert {lease.token} == await store.cancels("w1")
    assert CancelAnswer.ALREADY_RUNNING == await second_store.cancel(job.id, NOW)
    assert set() == await store.cancels("w2")

    images = success("outputs/a.png").images
    await store.reserve_files(lease, ["outputs/a.png", "outputs/b.png"])
    assert await store.finish(lease, Cancelled(images), NOW + 1)
    assert set() == await store.cancels("w1")
    ended = await read(store, job)
    assert (State.CANCELLED, images) == (ended.state, ended.images)
    assert Failure(FailureKind.CANCELLED, "Request cancelled by the client.") == ended.failure
    assert ["outputs/b.png"] == await store.unclaimed_files(NOW + DAY, 10)
    assert CancelAnswer.CANCELLED == await store.cancel(job.id, NOW + 2, running=True)
    assert State.RUNNING == (await read(store, other)).state


async def test_a_cancel_of_what_waits_needs_no_worker(store: JobStore) -> None:
    """Also where what runs may be stopped."""
    job = await store.submit(make_job())

    assert CancelAnswer.CANCELLED == await store.cancel(job.id, NOW, running=True)

    assert await store.claim(wanting()) is None
    assert CancelAnswer.UNKNOWN == await store.cancel("x" * 20, NOW, running=True)


async def test_exactly_one_of_finish_and_cancel_wins(store: JobStore) -> None:
    """Whatever ends the attempt first is the verdict, and the other learns that it came too late."""
    job = await store.submit(make_job())
    lease = await claimed(store)
    await store.cancel(job.id, NOW, running=True)

    assert await store.finish(lease, success("outputs/a.png"), NOW + 1)
    assert not await store.finish(lease, Cancelled(()), NOW + 1)

    assert State.SUCCEEDED == (await read(store, job)).state
    assert CancelAnswer.ALREADY_FINISHED == await store.cancel(job.id, NOW + 2, running=True)


async def test_cancels_race_starts_and_ends(store: JobStore, second_store: JobStore) -> None:
    """A cancel of whatever state meets claims and ends in another process: each request has one end, and a cancel that
    was accepted never leaves one that begins later."""
    jobs = [await store.submit(make_job(priority=k % 3)) for k in range(60)]

    async def work() -> None:
        while lease := await second_store.claim(wanting()):
            is_to_stop = lease.token in await second_store.cancels("w1")
            await second_store.finish(lease, Cancelled(()) if is_to_stop else success(), NOW + 1)

    async def cancel(job: Job) -> CancelAnswer:
        return await store.cancel(job.id, NOW, running=True)

    *answers, _, _ = await asyncio.gather(*map(cancel, jobs), work(), work())
    await store.end_overdue(NOW + 1, 100)

    ends = {
        CancelAnswer.CANCELLED: {State.CANCELLED},
        CancelAnswer.STOPPING: {State.CANCELLED, State.SUCCEEDED},
        CancelAnswer.ALREADY_FINISHED: {State.SUCCEEDED},
    }
    for job, answer in zip(jobs, answers, strict=True):
        assert (await read(store, job)).state in ends[answer]
    assert {} == await store.counts()


@pytest.mark.parametrize("end", ["lost", "handed back", "expired"])
async def test_what_is_to_stop_never_begins_again(store: JobStore, end: str) -> None:
    """Where its attempt is cut short before its worker has heard of the cancel, the request is over."""
    job = await store.submit(make_job())
    lease = await claimed(store)
    await store.cancel(job.id, NOW, running=True)
    match end:
        case "lost":
            await store.finish(lease, LOST, NOW + 1)
        case "handed back":
            await store.finish(lease, HandedBack("stopping"), NOW + 1)
        case "expired":
            await store.requeue_expired(NOW + 11)

    assert await store.claim(wanting(now=NOW + 11)) is None
    assert 1 == await store.end_overdue(NOW + 11, 10)
    ended = await read(store, job)
    assert (State.CANCELLED, FailureKind.CANCELLED) == (ended.state, ended.failure and ended.failure.kind)
    assert {} == await store.counts()


async def test_a_cancel_of_what_runs_rings(store: JobStore, second_store: JobStore) -> None:
    """The worker need not wait for its next look."""
    async with store.work_arrived() as rung, asyncio.timeout(10):
        job = await store.submit(make_job())
        await rung.wait()
        await claimed(store)
        rung.clear()

        await second_store.cancel(job.id, NOW, running=True)

        await rung.wait()
