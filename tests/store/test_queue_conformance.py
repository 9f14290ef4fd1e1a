"""What every store promises of the queue."""

import asyncio
import random
from dataclasses import replace

import pytest

from pipelet.domain.estimate import Ahead, Work
from pipelet.domain.ids import new_token
from pipelet.domain.image import Reference
from pipelet.domain.job import CancelAnswer, State
from pipelet.domain.outcome import Failed, Failure, FailureKind, HandedBack, Interrupted
from pipelet.domain.ports import JobStore
from pipelet.domain.progress import Progress
from tests.jobs import APP, make_job, make_key, success, wanting

BROKEN = Interrupted(Failure(FailureKind.WORKER_LOST, "The worker was lost."))


async def drain(store: JobStore, *apps: str) -> list[str]:
    """Claims everything, in order."""
    ids = []
    while lease := await store.claim(wanting(*apps)):
        ids.append(lease.job.id)
    return ids


async def test_what_a_worker_cannot_draw_is_left_to_others(store: JobStore) -> None:
    """A claim passes over the jobs it names, in every app, and takes the next; others take them in their turn."""
    key = make_key(max_running_images=9)
    await store.add_key(key)
    first, second, elsewhere = [
        await store.submit(each) for each in (make_job(), make_job(key=key), make_job(app="other", priority=-1))
    ]
    want = wanting(APP, "other")

    for passed_over, expected in (((first.id,), second), ((first.id,), elsewhere), ((first.id, "unknown"), None)):
        lease = await store.claim(replace(want, token=new_token(), passed_over=passed_over))
        assert (lease and lease.job.id) == (expected and expected.id)
    lease = await store.claim(want)
    assert lease is not None
    assert first.id == lease.job.id


async def test_a_submitted_job_reads_back_as_it_was(store: JobStore) -> None:
    """Whatever a request holds survives the database, whichever characters its prompt has."""
    job = make_job(
        prompt='снег "雪" ❄️ \\ \n', negative_prompt="", seed=2**53 - 1, priority=-(2**31), guidance_scale=3.5
    )

    submitted = await store.submit(job)

    assert replace(job, seq=submitted.seq) == submitted == await store.get(job.id)


async def test_the_references_of_an_edit_keep_their_order(store: JobStore) -> None:
    """Which picture is the first and which the second is all that an edit says of them."""
    references = tuple(Reference(key=f"inputs/{name}.png", width=64, height=96) for name in ("b", "a", "c"))
    wanted = make_job(references=references, strength=0.6)
    await store.note_references(wanted.id, [each.key for each in references], 1_000_900.0)
    job = await store.submit(wanted)

    assert job == await store.get(job.id)


async def test_an_unknown_id_reads_as_none(store: JobStore) -> None:
    """Asking for a job that is not there is no error."""
    assert await store.get("x" * 20) is None


async def test_priority_goes_first_then_arrival(store: JobStore) -> None:
    """Jobs begin by descending priority over the whole range, and by arrival within one value."""
    priorities = [0, 5, -(2**31), 0, 2**31 - 1, 5, -1]
    jobs = [await store.submit(make_job(priority=priority)) for priority in priorities]

    expected = sorted(jobs, key=lambda job: (-job.priority, job.seq))

    assert [job.id for job in expected] == await drain(store)


async def test_a_worker_gets_only_apps_it_serves(store: JobStore) -> None:
    """A job waits for a worker of its app, however many others look."""
    other = await store.submit(make_job(app="other", priority=9))
    mine = await store.submit(make_job())

    assert [mine.id] == await drain(store, APP)
    assert [other.id] == await drain(store, APP, "other")


async def test_no_job_is_claimed_twice(store: JobStore, second_store: JobStore) -> None:
    """Workers of two processes that claim at the same time never get the same job, and together they get all."""
    jobs = [await store.submit(make_job(priority=k % 3)) for k in range(60)]

    first, second = await asyncio.gather(drain(store), drain(second_store))

    assert sorted(job.id for job in jobs) == sorted(first + second)


async def test_a_claim_says_what_began(store: JobStore) -> None:
    """A claimed job is running, counts its attempt, and tells when it began."""
    job = await store.submit(make_job())

    lease = await store.claim(wanting(now=1_000_007.0))

    assert lease is not None
    assert (State.RUNNING, 1, 1_000_007.0) == (lease.job.state, lease.job.attempt, lease.job.started_at)
    assert lease.job == await store.get(job.id)


async def test_places_agree_with_the_order_of_claims(store: JobStore) -> None:
    """For every queued job, what is ahead of it is exactly what is then claimed before it, in number and in work."""
    rng = random.Random(3)
    jobs = []
    for _ in range(700):  # more than two of the runs that the store counts by
        spec = {"width": rng.choice([64, 512]), "num_inference_steps": rng.choice([4, 8])}
        app = rng.choice([APP, "other"])
        jobs.append(await store.submit(make_job(priority=rng.choice([-1, 0, 0, 0, 7]), app=app, **spec)))
    begun = {lease.job.id for _ in range(150) if (lease := await store.claim(wanting(APP, "other")))}
    waiting = [job for job in jobs if job.id not in begun]
    for job in rng.sample(waiting, 100):
        await store.cancel(job.id, 1_000_001.0)
        waiting.remove(job)
    waiting.sort(key=lambda job: (-job.priority, job.seq))

    work = Work()
    for place, job in enumerate(waiting):
        ahead = await store.ahead(job, [APP, "other"])
        assert place == ahead.requests
        assert pytest.approx(work.amounts()) == ahead.work.amounts()
        work += job.work

    assert [job.id for job in waiting] == await drain(store, APP, "other")


async def test_places_count_only_the_wanted_apps(store: JobStore) -> None:
    """Requests that other workers draw are not ahead."""
    await store.submit(make_job(app="other", priority=5))
    await store.submit(make_job())
    job = await store.submit(make_job())

    assert 1 == (await store.ahead(job, [APP])).requests
    assert 2 == (await store.ahead(job, [APP, "other"])).requests


async def test_the_backlog_is_what_a_newcomer_would_wait_for(store: JobStore) -> None:
    """A request that arrives waits for everything of its priority and above."""
    for priority in (-1, 0, 0, 3):
        await store.submit(make_job(priority=priority))

    assert [4, 3, 1, 0] == [(await store.backlog(priority, [APP])).requests for priority in (-5, 0, 1, 4)]
    assert Ahead(0, Work()) == await store.backlog(0, ["other"])


async def test_a_cancelled_job_never_begins(store: JobStore) -> None:
    """Cancel of a queued job is final, says so again when repeated, and frees its place."""
    job, other = await store.submit(make_job()), await store.submit(make_job())

    assert CancelAnswer.CANCELLED == await store.cancel(job.id, 1_000_003.0)
    assert CancelAnswer.CANCELLED == await store.cancel(job.id, 1_000_004.0)

    cancelled = await store.get(job.id)
    assert cancelled is not None
    assert cancelled.failure is not None
    assert (State.CANCELLED, 1_000_003.0) == (cancelled.state, cancelled.finished_at)
    assert FailureKind.CANCELLED == cancelled.failure.kind
    assert 0 == (await store.ahead(other, [APP])).requests
    assert [other.id] == await drain(store)


async def test_cancel_answers_by_state(store: JobStore) -> None:
    """What has begun or ended cannot be cancelled, and what is unknown is said to be."""
    job = await store.submit(make_job())
    lease = await store.claim(wanting())
    assert lease is not None

    assert CancelAnswer.ALREADY_RUNNING == await store.cancel(job.id, 1_000_001.0)
    await store.finish(lease, success(), 1_000_002.0)
    assert CancelAnswer.ALREADY_FINISHED == await store.cancel(job.id, 1_000_003.0)
    assert CancelAnswer.UNKNOWN == await store.cancel("x" * 20, 1_000_003.0)


async def test_exactly_one_of_cancel_and_claim_wins(store: JobStore, second_store: JobStore) -> None:
    """Raced from two processes, every job is either begun or cancelled, and both sides agree which."""
    jobs = [await store.submit(make_job()) for _ in range(200)]

    async def cancel_all() -> set[str]:
        answers = [(job.id, await second_store.cancel(job.id, 1_000_001.0)) for job in reversed(jobs)]
        return {job_id for job_id, answer in answers if answer is CancelAnswer.CANCELLED}

    begun, cancelled = await asyncio.gather(drain(store), cancel_all())

    assert {job.id for job in jobs} == set(begun) | cancelled
    assert not set(begun) & cancelled


async def test_a_late_worker_loses(store: JobStore) -> None:
    """Once its lease has run out and somebody else has the job, nothing a worker says changes anything."""
    job = await store.submit(make_job())
    late = await store.claim(wanting(seconds=10))
    assert late is not None
    await store.requeue_expired(1_000_010.0)
    current = await store.claim(wanting(now=1_000_011.0, worker="w2"))
    assert current is not None

    assert not await store.extend(late, 1_000_099.0)
    assert not await store.report_progress(late, Progress(5, 12))
    assert not await store.reserve_files(late, ["outputs/late.png"])
    assert not await store.finish(late, success("outputs/late.png"), 1_000_012.0)
    assert await store.finish(current, success("outputs/current.png"), 1_000_013.0)
    assert not await store.finish(current, success("outputs/again.png"), 1_000_014.0)

    finished = await store.get(job.id)
    assert finished is not None
    assert (State.SUCCEEDED, ["outputs/current.png"]) == (finished.state, [image.key for image in finished.images])


async def test_an_extended_lease_holds(store: JobStore) -> None:
    """A lease that is kept alive does not run out."""
    await store.submit(make_job())
    lease = await store.claim(wanting(seconds=10))
    assert lease is not None

    assert await store.extend(lease, 1_000_030.0)

    assert [] == await store.requeue_expired(1_000_029.0)
    assert 1 == len(await store.requeue_expired(1_000_030.0))


async def test_an_interrupted_job_returns_to_its_place(store: JobStore) -> None:
    """A job whose worker was lost is the first of its priority again, behind higher ones."""
    first, second = await store.submit(make_job()), await store.submit(make_job())
    lease = await store.claim(wanting())
    assert lease is not None
    urgent = await store.submit(make_job(priority=1))

    assert await store.finish(lease, BROKEN, 1_000_002.0)

    again = await store.get(first.id)
    assert again is not None
    assert (State.QUEUED, 1, None, None) == (again.state, again.attempt, again.started_at, again.progress)
    assert 1 == (await store.ahead(first, [APP])).requests
    assert [urgent.id, first.id, second.id] == await drain(store)


async def test_the_third_lost_attempt_is_the_last(store: JobStore) -> None:
    """A job that takes its workers down fails after three attempts; only then its user is asked to send it again."""
    job = await store.submit(make_job())
    for attempt in (1, 2, 3):
        assert await store.claim(wanting(now=1_000_000.0 + 20 * attempt)), attempt
        await store.requeue_expired(1_000_000.0 + 20 * attempt + 10)

    failed = await store.get(job.id)

    assert failed is not None
    assert failed.failure is not None
    assert (State.FAILED, FailureKind.WORKER_LOST) == (failed.state, failed.failure.kind)
    assert "The worker that drew this was lost. (tried 3 times) Submit the request again." == failed.failure.message
    cut_short = [line.message for line in await store.log(failed) if line.level == "WARN"]
    assert 2 == len(cut_short)
    assert not any("again" in message for message in cut_short)


async def test_handing_back_costs_no_attempt(store: JobStore) -> None:
    """A worker that shuts down returns its job as if it had never begun it."""
    job = await store.submit(make_job())
    for _ in range(5):
        lease = await store.claim(wanting())
        assert lease is not None
        assert await store.finish(lease, HandedBack("shutting down"), 1_000_001.0)

    again = await store.get(job.id)
    assert again is not None
    assert (State.QUEUED, 0) == (again.state, again.attempt)


async def test_the_jobs_of_a_dead_worker_return_at_once(store: JobStore) -> None:
    """Whoever knows that a worker is dead need not wait for its leases; other workers' jobs are left alone."""
    dead, alive = await store.submit(make_job()), await store.submit(make_job())
    await store.claim(wanting(worker="dead"))
    await store.claim(wanting(worker="alive"))

    assert [dead.id] == [job.id for job in await store.abandon("dead", 1_000_001.0)]

    states = [job.state for job in (await store.get(dead.id), await store.get(alive.id)) if job]
    assert [State.QUEUED, State.RUNNING] == states


async def test_a_failure_keeps_its_reason(store: JobStore) -> None:
    """A job that failed says why, and is not tried again."""
    job = await store.submit(make_job())
    lease = await store.claim(wanting())
    assert lease is not None
    failure = Failure(FailureKind.INVALID_INPUT, "The prompt is too long.")

    assert await store.finish(lease, Failed(failure), 1_000_002.0)

    failed = await store.get(job.id)
    assert failed is not None
    assert (State.FAILED, failure) == (failed.state, failed.failure)
    assert [] == await drain(store)


async def test_progress_never_falls(store: JobStore) -> None:
    """A report that comes late does not take back what an earlier one said."""
    job = await store.submit(make_job())
    lease = await store.claim(wanting())
    assert lease is not None

    for done in (3, 7, 5):
        assert await store.report_progress(lease, Progress(done, 12))

    running = await store.get(job.id)
    assert running is not None
    assert Progress(7, 12) == running.progress
    assert [Progress(7, 12)] == [entry.progress for entry in await store.running([APP])]


async def test_every_change_is_seen_by_others(store: JobStore, second_store: JobStore) -> None:
    """What one process does with a job, another sees at its next read, however often it has read the job before."""
    job = await store.submit(make_job())
    seen = [await second_store.get(job.id)]

    async def note() -> None:
        seen.extend([await second_store.get(job.id) for _ in range(2)])
        assert seen[-2] == seen[-1] == await store.get(job.id)
        assert seen[-1] != seen[-3]

    for outcome in (BROKEN, HandedBack("stopping"), success("outputs/a.png")):
        lease = await store.claim(wanting())
        assert lease is not None
        await note()
        for done in (0, 5):
            await store.report_progress(lease, Progress(done, 12))
            await note()
        await store.finish(lease, outcome, 1_000_002.0)
        await note()
    await store.delete_finished(before=1_000_003.0, now=1_000_004.0, limit=10)

    assert await second_store.get(job.id) is None


async def test_the_log_only_grows(store: JobStore) -> None:
    """A job's history keeps every line, in order."""
    job = await store.submit(make_job())
    lengths = [len(await store.log(job))]
    for outcome in (BROKEN, success("outputs/a.png")):
        lease = await store.claim(wanting())
        assert lease is not None
        await store.finish(lease, outcome, 1_000_001.0)
        lengths.append(len(await store.log(job)))

    assert sorted(set(lengths)) == lengths


async def test_a_listener_hears_of_new_work(store: JobStore, second_store: JobStore) -> None:
    """A submit in one process wakes whoever listens in another."""
    async with second_store.work_arrived() as event:
        await store.submit(make_job())

        await asyncio.wait_for(event.wait(), timeout=5)


async def test_counts_tell_what_is_there(store: JobStore) -> None:
    """Queued and running jobs are counted by app, with the arrival of the oldest that waits."""
    await store.submit(make_job(submitted_at=1_000_001.0))
    await store.submit(make_job(submitted_at=1_000_003.0, priority=2))
    await store.submit(make_job(submitted_at=1_000_002.0, priority=1))
    await store.claim(wanting())

    counts = await store.counts()

    assert {APP} == set(counts)
    assert (2, 1, 1_000_001.0) == (counts[APP].queued, counts[APP].running, counts[APP].oldest_submitted_at)
