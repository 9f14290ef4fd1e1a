"""How long it will take, from submit to result."""

from dataclasses import replace

import pytest

from pipelet.api.estimates import Outlook, expected_total, most_observed, outlook_of, speeds_by_kind
from pipelet.domain.estimate import Ahead, Costs, Learned, Speed, Work, unlearned, work_of
from pipelet.domain.job import State
from pipelet.domain.ports import Running
from pipelet.domain.progress import Progress
from pipelet.domain.workers import WorkerReport
from tests.api.service import Service
from tests.jobs import APP, make_job, make_spec

ONE = Work(requests=1.0)
FAST = Speed(Costs((2.0, 0, 0, 0, 0)), Costs((0.5, 0, 0, 0, 0)))
"""2 s on the device and 0.5 s beside it, whatever the request."""
SLOW = Speed(Costs((6.0, 0, 0, 0, 0)), Costs((0.5, 0, 0, 0, 0)))


def ahead(requests: int) -> Ahead:
    return Ahead(requests, Work(requests=float(requests)))


def outlook(*speeds: Speed, running: int = 0, busy: float = 0.0) -> Outlook:
    kinds = {str(number): speed for number, speed in enumerate(speeds)}
    live = [worker(kind) for kind in kinds]
    seen = outlook_of(APP, live=live, speeds=kinds, otherwise=FAST, running=[], now=0.0)
    return replace(seen, running=running, busy_seconds=busy)


def worker(kind: str, *, app: str = APP, problem: str | None = None) -> WorkerReport:
    facts = {"name": "w", "model": "m", "version": "1", "incarnation": "i", "seen_at": 0, "expires_at": 1}
    return WorkerReport(kind=kind, apps=(app,), ready=True, problem=problem, **facts)


def test_no_wait_while_a_worker_is_free() -> None:
    """Nothing is waited for while there are fewer requests than workers."""
    assert outlook(FAST, FAST, FAST, running=1, busy=99.0).wait_seconds(ahead(1)) == 0.0


def test_wait_for_what_runs_and_what_is_ahead() -> None:
    """The wait is what runs and what is ahead, shared by the workers; storing files keeps no device busy."""
    assert outlook(FAST, running=1, busy=1.5).wait_seconds(ahead(0)) == 1.5
    assert outlook(FAST, running=1, busy=1.5).wait_seconds(ahead(10)) == pytest.approx(21.5)
    assert outlook(FAST, FAST, running=2, busy=1.0).wait_seconds(ahead(10)) == pytest.approx(0.5 + 10)


def test_unlike_workers() -> None:
    """A slow worker beside a fast one shortens the queue, in proportion to its speed."""
    assert outlook(FAST, SLOW, running=2).wait_seconds(ahead(8)) == pytest.approx(8 / (1 / 2 + 1 / 6))
    assert outlook(FAST, SLOW).typical.service(ONE, ONE) == pytest.approx(4.5)


def test_whole_time_of_a_queued_request() -> None:
    """While it waits: what has passed, what is before it, and itself."""
    job = make_job(submitted_at=100.0)

    assert expected_total(job, ahead(3), outlook(FAST, running=1, busy=1.0), 110.0) == pytest.approx(10 + 1 + 6 + 2.5)


@pytest.mark.parametrize(
    ("now", "progress", "total"),
    [
        (105.0, None, 5 + 2.5),
        (106.0, Progress(5, 10), 5 + 2.5),
        (115.0, Progress(9, 10), 15 + 10 / 9),  # overdue: its own progress says how long
        (115.0, Progress(1, 10), 15 + 2.5),  # overdue, but nobody believes ninety seconds more
    ],
)
def test_whole_time_of_a_running_request(now: float, progress: Progress | None, total: float) -> None:
    """While it runs: what has passed and what is left, by prediction or by its own progress."""
    job = replace(make_job(submitted_at=100.0), started_at=105.0, state=State.RUNNING, progress=progress)

    assert expected_total(job, None, outlook(FAST), now) == pytest.approx(total)


def test_outlook_counts_who_can_serve() -> None:
    """Workers of other apps and workers with a problem do not count; without any, one is imagined."""
    live = [worker("a"), worker("a"), worker("b"), worker("a", app="other"), worker("a", problem="no model")]
    seen = outlook_of(APP, live=live, speeds={"a": FAST}, otherwise=SLOW, running=[], now=0.0)
    nobody = outlook_of(APP, live=live[3:], speeds={"a": FAST}, otherwise=SLOW, running=[], now=0.0)

    assert (seen.speeds, seen.workers) == (((FAST, 2), (SLOW, 1)), 3)
    assert (nobody.speeds, nobody.workers) == (((SLOW, 1),), 1)


def test_outlook_adds_up_what_is_left() -> None:
    """What runs keeps devices busy for what is left of its draw."""
    running = [Running(APP, ONE, 9.5, Progress(1, 4)), Running(APP, ONE, 8.5, Progress(6, 8))]
    seen = outlook_of(APP, live=[], speeds={}, otherwise=FAST, running=running, now=10.0)

    assert (seen.running, seen.busy_seconds) == (2, pytest.approx(1.5 + 0.5))


def test_most_observed_kind() -> None:
    """Where nobody works, the kind that did most so far is the one to expect."""
    work = work_of(make_spec())
    once, twice = Learned().observe(work, 1.0), Learned().observe(work, 3.0).observe(work, 3.0)
    learned = {("a", "draw"): once, ("b", "draw"): twice}

    assert most_observed(learned) == "b"
    assert most_observed({}) is None
    assert speeds_by_kind(learned)["b"].draw.predict(work) == pytest.approx(3.0, rel=0.1)


async def estimate(service: Service, request_id: str) -> int:
    status = (await service.client.get(service.status_path(request_id))).json()
    seconds: int = status["statusMessages"]["estimatedTotalTimeSeconds"]
    return seconds


async def test_estimate_follows_what_was_learned(service: Service) -> None:
    """Estimates come from what this installation measured, and grow with the queue."""
    await service.report_worker(kind="gpu")
    # As the model in the box draws what names nothing but a prompt.
    drawn = make_spec(width=256, height=256, guidance_scale=1.5)
    stored = make_spec(width=1024, height=1024, guidance_scale=1.5)
    for _ in range(10):
        await service.store.learn("gpu", "draw", work_of(drawn), 30.0)
        await service.store.learn("gpu", "record", work_of(stored), 1.0)

    first, second = await service.submit(), await service.submit()

    assert await estimate(service, first) == pytest.approx(31, abs=2)
    assert await estimate(service, second) == pytest.approx(61, abs=4)


async def test_estimate_is_kept_with_the_request(service: Service) -> None:
    """What was expected at submit is stored, to be held against the truth."""
    job = await service.store.get(await service.submit())

    assert job is not None
    assert job.expected_seconds == pytest.approx(unlearned().service(job.work, work_of(job.spec)))


async def test_estimate_counts_time_that_passed(service: Service) -> None:
    """The longer a request has waited, the longer it takes in all."""
    await service.report_worker()
    request_id = await service.submit()
    before = await estimate(service, request_id)
    service.clock.time += 100

    assert await estimate(service, request_id) == before + 100


async def test_estimate_ends_as_the_truth(service: Service) -> None:
    """Of a finished request the whole time is known; it is at least a second."""
    quick, slow = await service.submit(), await service.submit()
    await service.succeed(await service.claim(), data=b"x")
    service.clock.time += 41.7
    await service.fail_next()

    assert await estimate(service, quick) == 1
    assert await estimate(service, slow) == 42
