"""What every store promises an operator: limits of keys, pauses, drains, and requests that are moved to the front."""

import asyncio
import random
from dataclasses import replace

import pytest

from pipelet.domain.errors import LimitReached
from pipelet.domain.estimate import Ahead, Work
from pipelet.domain.job import Job, Lease
from pipelet.domain.keys import ApiKey
from pipelet.domain.outcome import Failed, Failure, FailureKind, HandedBack, Interrupted
from pipelet.domain.ports import Drawn, JobStore
from pipelet.domain.workers import ReportAnswer, WorkerReport
from pipelet.store.queries import ROOM_WITHIN
from tests.jobs import APP, make_job, make_key, success, wanting

LOST = Interrupted(Failure(FailureKind.WORKER_LOST, "lost"))


async def new_key(store: JobStore, **limits: int) -> ApiKey:
    key = make_key(**limits)
    await store.add_key(key)
    return key


async def claimed(store: JobStore, **options: float) -> Lease:
    lease = await store.claim(wanting(**options))
    assert lease is not None
    return lease


async def drain(store: JobStore, *apps: str) -> list[str]:
    """Claims everything that may begin, in order."""
    ids = []
    while lease := await store.claim(wanting(*apps)):
        ids.append(lease.job.id)
    return ids


def report(name: str, incarnation: str = "i", **times: float) -> WorkerReport:
    facts = {"model": "m", "kind": "box on cpu", "apps": (APP,), "version": "0", "ready": True, "problem": None}
    return WorkerReport(name=name, incarnation=incarnation, **facts, **{"seen_at": 1.0, "expires_at": 5.0, **times})


async def test_a_job_remembers_its_key(store: JobStore) -> None:
    """Which key submitted a job, and whether that is limited, is read back with it."""
    free, limited = await new_key(store), await new_key(store, max_queued_images=4)

    jobs = [await store.submit(make_job(key=key)) for key in (free, limited, None)]

    assert jobs == [await store.get(job.id) for job in jobs]
    assert [(free.id, False), (limited.id, True), (None, False)] == [(job.key_id, job.is_limited) for job in jobs]
    assert [free, limited] == sorted(await store.keys(), key=lambda key: key.has_limits)


async def test_a_full_key_is_refused_in_words(store: JobStore) -> None:
    """A batch counts its images; what would exceed the limit leaves nothing behind, and what just fits is taken."""
    key = await new_key(store, max_queued_images=5)
    await store.submit(make_job(key=key, batch_size=4))
    refused = make_job(key=key, batch_size=2)

    with pytest.raises(LimitReached, match=r"4 of at most 5 wait.* has 2.*cancel"):
        await store.submit(refused)

    assert await store.get(refused.id) is None
    await store.submit(make_job(key=key))
    assert 2 == (await store.counts())[APP].queued


async def test_what_begins_before_a_key_has_room(store: JobStore) -> None:
    """Everything up to the request with which enough of its images have begun, in the order of claims; images that do
    not count against the limit, or wait for other workers, make no room."""
    key = await new_key(store, max_queued_images=9)
    jobs = [
        await store.submit(job)
        for job in (
            make_job(),
            make_job(key=key, batch_size=2, width=512),
            make_job(app="other", width=640),
            make_job(key=key),
            make_job(key=replace(key, max_queued_images=None)),
            make_job(priority=1, width=320),
        )
    ]
    order = [jobs[index] for index in (5, 0, 1, 2, 3)]

    found = [await store.ahead_of_room(key.id, images, [APP, "other"]) for images in range(1, 5)]

    first, later = (Ahead(before, sum((job.work for job in order[:before]), Work())) for before in (2, 4))
    assert [first, first, later, None] == found
    assert await store.ahead_of_room(key.id, 1, ["other"]) is None


async def test_only_the_head_of_a_deep_queue_is_looked_at(store: JobStore) -> None:
    """A key whose requests stand far behind is told of fewer before them than there are, and of many all the same."""
    key = await new_key(store, max_queued_images=1)
    await asyncio.gather(*(store.submit(make_job()) for _ in range(ROOM_WITHIN + 10)))
    await store.submit(make_job(key=key))

    ahead = await store.ahead_of_room(key.id, 1, [APP])

    assert ahead is not None
    assert ROOM_WITHIN == ahead.requests


async def test_limits_are_each_keys_own(store: JobStore) -> None:
    """A full key stops neither other limited ones nor keys without limits, also of the same user."""
    full, other = await new_key(store, max_queued_images=1), await new_key(store, max_queued_images=1)
    free = await new_key(store)
    await store.submit(make_job(key=full))

    await store.submit(make_job(key=other))
    for _ in range(3):
        await store.submit(make_job(key=free))

    with pytest.raises(LimitReached):
        await store.submit(make_job(key=full))


@pytest.mark.parametrize("limit", [1, 7])
async def test_racing_submits_never_both_get_the_last_room(store: JobStore, second_store: JobStore, limit: int) -> None:
    """However many submit at once, from two processes, exactly as many are taken as there is room for."""
    key = await new_key(store, max_queued_images=limit)
    jobs = [make_job(key=key) for _ in range(30)]

    answers = await asyncio.gather(
        *((store, second_store)[k % 2].submit(job) for k, job in enumerate(jobs)), return_exceptions=True
    )

    assert limit == sum(isinstance(answer, Job) for answer in answers)
    assert len(jobs) - limit == sum(isinstance(answer, LimitReached) for answer in answers)
    assert limit == (await store.counts())[APP].queued


async def test_room_comes_back_however_a_job_leaves_the_queue(store: JobStore) -> None:
    """Cancelled, begun and ended jobs no longer count as queued; one that is handed back does again."""
    key = await new_key(store, max_queued_images=2)

    async def is_full() -> bool:
        job = make_job(key=key, priority=-1, batch_size=2)
        try:
            await store.submit(job)
        except LimitReached:
            return True
        await store.cancel(job.id, 1_000_001.0)
        return False

    cancelled = await store.submit(make_job(key=key))
    assert await is_full()
    await store.cancel(cancelled.id, 1_000_001.0)
    assert not await is_full()
    await store.submit(make_job(key=key))
    assert await is_full()
    lease = await claimed(store)
    assert not await is_full()
    await store.finish(lease, HandedBack("stopping"), 1_000_002.0)
    assert await is_full()
    await store.finish(await claimed(store), LOST, 1_000_003.0)
    assert await is_full()
    await store.finish(await claimed(store), success("outputs/a.png"), 1_000_004.0)
    assert not await is_full()


async def test_a_key_runs_no_more_images_than_it_may(store: JobStore) -> None:
    """What would exceed the limit waits, others behind it go first, and it begins when there is room."""
    key = await new_key(store, max_running_images=4)
    first = await store.submit(make_job(key=key, batch_size=3))
    large = await store.submit(make_job(key=key, batch_size=2))
    small = await store.submit(make_job(key=key))
    other = await store.submit(make_job(priority=-5))
    begun = await claimed(store)

    assert first.id == begun.job.id
    assert [True, False, False] == [await store.is_held_back(job) for job in (large, small, other)]
    assert [small.id, other.id] == await drain(store)
    await store.finish(begun, success("outputs/a.png"), 1_000_001.0)
    assert not await store.is_held_back(large)
    assert [large.id] == await drain(store)


@pytest.mark.parametrize("end", [LOST, HandedBack("stopping"), Failed(Failure(FailureKind.INTERNAL, "broken"))])
async def test_running_images_are_let_go_however_they_end(store: JobStore, end: object) -> None:
    """An attempt that fails or is cut short makes room as one that succeeds does."""
    key = await new_key(store, max_running_images=1)
    await store.submit(make_job(key=key))
    waiting = await store.submit(make_job(key=key, priority=-1))
    lease = await claimed(store)
    assert await store.claim(wanting()) is None

    await store.finish(lease, end, 1_000_001.0)  # type: ignore[arg-type]
    await store.cancel(lease.job.id, 1_000_002.0)

    assert [waiting.id] == await drain(store)


async def test_racing_claims_keep_to_the_limit(store: JobStore, second_store: JobStore) -> None:
    """Workers that claim at the same moment never begin more of a key than it may, and none goes without work."""
    key = await new_key(store, max_running_images=3)
    for _ in range(10):
        await store.submit(make_job(key=key))
    free = [await store.submit(make_job(priority=-1)) for _ in range(4)]

    leases = await asyncio.gather(*((store, second_store)[k % 2].claim(wanting()) for k in range(7)))

    begun = [lease.job for lease in leases if lease]
    assert 3 == sum(job.is_limited for job in begun)
    assert {job.id for job in begun if not job.is_limited} <= {job.id for job in free}
    assert 4 == len([job for job in begun if not job.is_limited]) + len(await drain(store))


async def test_room_for_a_full_key_wakes_whoever_waits(store: JobStore, second_store: JobStore) -> None:
    """Idle workers hear when a job of a limited key ends."""
    key = await new_key(store, max_running_images=1)
    await store.submit(make_job(key=key))
    lease = await claimed(store)
    async with second_store.work_arrived() as event:
        await asyncio.sleep(0)
        event.clear()
        await store.finish(lease, success("outputs/a.png"), 1_000_001.0)

        await asyncio.wait_for(event.wait(), timeout=5)


async def test_nothing_of_a_paused_app_begins(store: JobStore, second_store: JobStore) -> None:
    """A pause holds for every process from its next claim on, keeps what waits, and lets other apps go on."""
    job, other = await store.submit(make_job()), await store.submit(make_job(app="other"))

    await store.pause(APP, 1_000_001.0)
    await store.pause(APP, 1_000_002.0)
    late = await store.submit(make_job())

    assert {APP: 1_000_001.0} == await second_store.paused()
    assert [other.id] == await drain(second_store, APP, "other")
    assert await second_store.resume(APP)
    assert not await second_store.resume(APP)
    assert {} == await store.paused()
    assert [job.id, late.id] == await drain(store, APP, "other")


async def test_resuming_wakes_whoever_waits(store: JobStore, second_store: JobStore) -> None:
    """Idle workers hear of it."""
    await store.pause(APP, 1_000_001.0)
    await store.submit(make_job())
    async with second_store.work_arrived() as event:
        await asyncio.sleep(0)
        event.clear()
        await store.resume(APP)

        await asyncio.wait_for(event.wait(), timeout=5)


async def test_what_is_moved_to_the_front_is_next(store: JobStore) -> None:
    """It goes before everything that waits, also in other apps and at the highest priority there is; the last one moved
    goes first."""
    for priority in (0, 2**31 - 1, 5):
        await store.submit(make_job(priority=priority))
    await store.submit(make_job(app="other", priority=2**31 - 1))
    first, second = await store.submit(make_job(priority=-(2**31))), await store.submit(make_job(app="other"))

    assert await store.move_to_front(first.id, 1_000_001.0)
    assert await store.move_to_front(second.id, 1_000_002.0)

    for place, job in enumerate((second, first)):
        moved = await store.get(job.id)
        assert moved is not None
        assert place == (await store.ahead(moved, [APP, "other"])).requests
    assert [second.id, first.id] == (await drain(store, APP, "other"))[:2]


async def test_places_are_exact_after_moves(store: JobStore) -> None:
    """Whatever was moved, ahead of each queued job is exactly what is claimed before it, in number and in work."""
    rng = random.Random(5)
    sizes = [{"width": rng.choice([64, 512])} for _ in range(60)]
    waiting = [await store.submit(make_job(priority=rng.choice([-1, 0, 3]), **size)) for size in sizes]
    for job in rng.sample(waiting, 12):
        assert await store.move_to_front(job.id, 1_000_001.0)
    for job in rng.sample(waiting, 12):
        await store.cancel(job.id, 1_000_002.0)
        waiting.remove(job)
    again = await claimed(store)
    await store.finish(again, LOST, 1_000_003.0)
    now = {job.id: found for job in waiting if (found := await store.get(job.id))}
    places = {job_id: await store.ahead(job, [APP]) for job_id, job in now.items()}

    order, work = await drain(store), Work()

    assert again.job.id == order[0]
    for place, job_id in enumerate(order):
        assert place == places[job_id].requests
        assert pytest.approx(work.amounts()) == places[job_id].work.amounts()
        work += now[job_id].work


async def test_only_what_waits_can_be_moved(store: JobStore) -> None:
    """What has begun, ended or never was stays as it is."""
    ended, running = await store.submit(make_job()), await store.submit(make_job())
    await store.finish(await claimed(store), success("outputs/a.png"), 1_000_001.0)
    await claimed(store)
    before = [await store.get(job.id) for job in (ended, running)]

    assert [False] * 3 == [await store.move_to_front(at, 1_000_002.0) for at in (ended.id, running.id, "x" * 20)]

    assert before == [await store.get(job.id) for job in (ended, running)]


async def test_the_log_tells_of_a_move_and_keeps_its_lines(store: JobStore, second_store: JobStore) -> None:
    """The user's own priority stays in the first line, however often the job is moved; others see the move at once."""
    await store.submit(make_job(priority=7))
    job = await store.submit(make_job(priority=1))
    seen = await second_store.get(job.id)
    assert seen is not None
    before = await store.log(seen)

    await store.move_to_front(job.id, 1_000_001.0)
    await store.move_to_front(job.id, 1_000_002.0)

    moved = await second_store.get(job.id)
    assert moved is not None
    assert (7, 1) == (moved.priority, moved.asked_priority)
    after = await store.log(moved)
    assert before == after[:1]
    assert ["Moved to the front of the queue by the operator."] * 2 == [line.message for line in after[1:]]


async def test_a_worker_learns_of_its_drain_when_it_reports(store: JobStore, second_store: JobStore) -> None:
    """Until then it knows nothing; each report from then on tells, and others see it."""
    assert ReportAnswer.GO_ON == await store.report_worker(report("w1"))
    await store.report_worker(report("w2"))

    assert await second_store.drain_worker("w1", 2.0)

    assert [True, False] == [worker.draining for worker in await store.live_workers(2.0)]
    assert ReportAnswer.DRAIN == await store.report_worker(report("w1", seen_at=3.0, expires_at=8.0))
    assert ReportAnswer.DRAIN == await store.report_worker(report("w1", seen_at=4.0, expires_at=9.0))
    assert ReportAnswer.GO_ON == await store.report_worker(report("w2", seen_at=4.0, expires_at=9.0))


async def test_only_live_workers_can_be_drained(store: JobStore) -> None:
    """One that was not heard of for long, and one that never was, are unknown."""
    await store.report_worker(report("w1"))

    assert not await store.drain_worker("w1", 5.0)
    assert not await store.drain_worker("w2", 2.0)


async def test_limits_of_a_key_can_be_changed(store: JobStore, second_store: JobStore) -> None:
    """What was counted under the old limits counts under the new ones, for all processes; lifted, all is taken."""
    key = await new_key(store, max_queued_images=2)
    await store.submit(make_job(key=key, batch_size=2))

    assert await second_store.limit_key(key.id, {"max_queued_images": 3, "max_running_images": 1})
    found = await store.find_key(key.hash)
    assert found is not None
    assert (3, 1) == (found.max_queued_images, found.max_running_images)
    await store.submit(make_job(key=found))
    with pytest.raises(LimitReached, match="3 of at most 3"):
        await store.submit(make_job(key=found))
    assert 1 == len(await drain(store))

    assert await store.limit_key(key.id, {"max_queued_images": None, "max_running_images": None})
    await store.submit(make_job(key=found, batch_size=9))
    assert 2 == len(await drain(second_store))
    assert not await store.limit_key("unknown", {"max_queued_images": 1})


async def test_a_name_belongs_to_one_process_at_a_time(store: JobStore, second_store: JobStore) -> None:
    """While a worker reports, another of its name is refused and changes nothing; once its last report has run out, the
    name is the other's, and the first is refused."""
    first, late = report("w1", "first"), report("w1", "first", seen_at=6.0, expires_at=11.0)
    await store.report_worker(first)

    assert ReportAnswer.NAME_TAKEN == await second_store.report_worker(report("w1", "other", seen_at=4.9))
    assert [first] == await store.live_workers(2.0)

    other = report("w1", "other", seen_at=5.0, expires_at=9.0)
    assert ReportAnswer.GO_ON == await second_store.report_worker(other)
    assert ReportAnswer.NAME_TAKEN == await store.report_worker(late)
    assert [other] == await store.live_workers(5.0)


async def test_of_several_that_take_a_name_one_gets_it(store: JobStore, second_store: JobStore) -> None:
    """Processes that start together under one name do not both have it."""
    stores = [store, second_store] * 4
    answers = await asyncio.gather(*(each.report_worker(report("w1", str(k))) for k, each in enumerate(stores)))

    assert [ReportAnswer.GO_ON] == [answer for answer in answers if answer is not ReportAnswer.NAME_TAKEN]


async def test_whoever_signs_off_frees_no_name_of_another(store: JobStore) -> None:
    """A name can be taken at once when its worker has signed off or is known to be dead, and by nobody else's word."""
    await store.report_worker(report("w1", "first"))
    await store.forget_worker("w1", "other")
    assert ReportAnswer.NAME_TAKEN == await store.report_worker(report("w1", "other", seen_at=2.0))

    await store.forget_worker("w1", "first")
    assert ReportAnswer.GO_ON == await store.report_worker(report("w1", "other", seen_at=2.0))

    await store.abandon("w1", 3.0)
    assert ReportAnswer.GO_ON == await store.report_worker(report("w1", "third", seen_at=3.0))


async def test_what_was_drawn_is_counted_by_app(store: JobStore) -> None:
    """Requests and images that succeeded after a moment count; what failed, was cancelled or ended before does not."""
    for at, app, batch_size in ((5.0, APP, 9), (10.5, APP, 4), (11.0, APP, 1), (11.0, "other", 2)):
        await store.submit(make_job(app=app, batch_size=batch_size))
        lease = await store.claim(wanting(app))
        assert lease is not None
        await store.finish(lease, success("outputs/a.png"), at)
    cancelled = await store.submit(make_job())
    await store.cancel(cancelled.id, 11.0)
    await store.submit(make_job())
    await store.finish(await claimed(store), Failed(Failure(FailureKind.INTERNAL, "broken")), 12.0)

    assert {APP: Drawn(2, 5), "other": Drawn(1, 2)} == await store.drawn_since(10.0)
