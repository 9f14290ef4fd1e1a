"""What every store promises of files, keys, workers and what was learned."""

import asyncio

import pytest

from pipelet.domain.estimate import Learned, Work
from pipelet.domain.keys import ApiKey, hash_secret, new_secret
from pipelet.domain.outcome import Failure, FailureKind, Interrupted
from pipelet.domain.ports import JobStore
from pipelet.domain.workers import WorkerReport
from tests.jobs import make_job, success, wanting

FOR_EVER = 2_000_000.0


async def test_a_file_name_is_given_once(store: JobStore) -> None:
    """Two attempts never write one file: a taken name is refused, and none of the names asked for with it is taken."""
    await store.submit(make_job())
    await store.submit(make_job())
    first, second = await store.claim(wanting()), await store.claim(wanting())
    assert first is not None
    assert second is not None
    assert await store.reserve_files(first, ["outputs/a.png"])

    with pytest.raises(KeyError):
        await store.reserve_files(second, ["outputs/b.png", "outputs/a.png"])

    assert await store.reserve_files(second, ["outputs/b.png"])


async def test_files_of_a_broken_off_attempt_are_deleted_in_time(store: JobStore) -> None:
    """What an attempt may have written and no result names is found, once its writer must have stopped."""
    await store.submit(make_job())
    lease = await store.claim(wanting())
    assert lease is not None
    await store.reserve_files(lease, ["outputs/lost.png"])
    await store.finish(lease, Interrupted(Failure(FailureKind.WORKER_LOST, "lost")), 1_000_001.0)

    assert [] == await store.unclaimed_files(1_000_002.0, 10)
    assert ["outputs/lost.png"] == await store.unclaimed_files(FOR_EVER, 10)
    await store.forget_files(["outputs/lost.png"])
    assert [] == await store.unclaimed_files(FOR_EVER, 10)


async def test_files_of_a_result_stay_as_long_as_the_result(store: JobStore) -> None:
    """A finished job's files are kept until the job is forgotten, and not a moment longer."""
    job = await store.submit(make_job())
    lease = await store.claim(wanting())
    assert lease is not None
    await store.reserve_files(lease, ["outputs/a.png", "outputs/spare.png"])
    await store.finish(lease, success("outputs/a.png"), 1_000_001.0)
    assert ["outputs/spare.png"] == await store.unclaimed_files(FOR_EVER, 10)
    await store.forget_files(["outputs/spare.png"])

    assert 0 == await store.delete_finished(1_000_001.0, 1_000_002.0, 10)
    assert 1 == await store.delete_finished(1_000_001.5, 1_000_002.0, 10)

    assert await store.get(job.id) is None
    assert ["outputs/a.png"] == await store.unclaimed_files(1_000_002.0, 10)


async def test_only_finished_jobs_are_forgotten(store: JobStore) -> None:
    """Retention never touches what waits or runs, however old it is."""
    waiting = await store.submit(make_job(submitted_at=1.0))
    await store.submit(make_job(submitted_at=1.0, priority=1))
    await store.claim(wanting())

    assert 0 == await store.delete_finished(FOR_EVER, FOR_EVER, 10)
    assert waiting == await store.get(waiting.id)


async def test_ends_are_listed_in_order(store: JobStore) -> None:
    """Jobs that ended after a moment are listed by their end, however they ended."""
    jobs = [await store.submit(make_job()) for _ in range(3)]
    await store.cancel(jobs[2].id, 1_000_005.0)
    for at in (1_000_009.0, 1_000_007.0):
        lease = await store.claim(wanting())
        assert lease is not None
        await store.finish(lease, success(), at)

    ended = [job.id for job in await store.finished_since(1_000_005.0, 10)]

    assert [jobs[1].id, jobs[0].id] == ended


async def test_a_key_is_found_by_its_hash_and_can_be_revoked(store: JobStore) -> None:
    """Keys are listed and found with all they carry; revoking one keeps its first time; unknown ids say so."""
    secret = new_secret()
    key = ApiKey(
        id="k1", name="laptop", user="ann", hash=hash_secret(secret), created_at=1.0, expires_at=9.0, max_priority=-3
    )
    await store.add_key(key)

    assert [key] == await store.keys()
    assert key == await store.find_key(hash_secret(secret))
    assert await store.find_key(hash_secret(new_secret())) is None
    assert await store.revoke_key("k1", 5.0)
    assert await store.revoke_key("k1", 6.0)
    assert not await store.revoke_key("k2", 5.0)
    revoked = await store.find_key(hash_secret(secret))
    assert revoked is not None
    assert 5.0 == revoked.revoked_at


async def test_workers_are_live_while_they_report(store: JobStore) -> None:
    """A worker counts from its report until the time it gave; a later report replaces the earlier."""
    report = WorkerReport(
        name="w1",
        model="m",
        kind="box on cpu",
        apps=("a", "b"),
        version="0",
        ready=False,
        problem="no model",
        seen_at=1.0,
        expires_at=5.0,
        incarnation="i",
    )
    await store.report_worker(report)
    assert [report] == await store.live_workers(4.9)
    assert [] == await store.live_workers(5.0)

    await store.report_worker(
        WorkerReport(
            name="w1",
            model="m",
            kind="box",
            apps=(),
            version="0",
            ready=True,
            problem=None,
            seen_at=4.0,
            expires_at=9.0,
            incarnation="i",
        )
    )
    assert [True] == [worker.ready for worker in await store.live_workers(5.0)]

    await store.forget_worker("w1", "i")
    assert [] == await store.live_workers(5.0)


async def test_what_was_learned_is_kept(store: JobStore) -> None:
    """Observations add up in the store as they do in memory."""
    works = [(Work(1, 8, 0.1, 0.8, 0.08), 1.5), (Work(1, 4, 1.0, 4.0, 4.0), 3.25)]
    expected = Learned()
    for work, seconds in works:
        await store.learn("box on cpu", "draw", work, seconds)
        expected = expected.observe(work, seconds)

    assert {("box on cpu", "draw"): expected} == await store.learned()


async def test_a_store_that_can_be_written_passes_its_check(store: JobStore) -> None:
    """It changes nothing, and wakes no listener."""
    async with store.work_arrived() as work, store.changes() as changed:
        await asyncio.sleep(0.3)  # what opening may have told
        work.clear()
        changed.clear()
        await store.check()
        await asyncio.sleep(0.2)

        assert not work.is_set()
        assert not changed.is_set()
