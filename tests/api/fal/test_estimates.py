"""How long it will take, from submit to result."""

from dataclasses import replace

import pytest

from pipelet.domain.capacity.cost_model import (
    CostCoefficients,
    CostModel,
    Work,
    WorkAhead,
    WorkerCosts,
    prior_costs,
    spec_work,
)
from pipelet.domain.capacity.forecast import LearnedCosts, QueueForecast, RunningJob, build_forecast, expected_total
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.jobs.job import JobState
from pipelet.domain.jobs.progress import Progress
from tests.api.service import Service
from tests.support.jobs import APP, make_job, make_spec

ONE = Work(requests=1.0)
FAST = WorkerCosts(CostCoefficients((2.0, 0, 0, 0, 0)), CostCoefficients((0.5, 0, 0, 0, 0)))
"""2 s on the device and 0.5 s next to it, for every request."""
SLOW = WorkerCosts(CostCoefficients((6.0, 0, 0, 0, 0)), CostCoefficients((0.5, 0, 0, 0, 0)))


def work_ahead(requests: int) -> WorkAhead:
    return WorkAhead(requests, Work(requests=float(requests)))


def forecast(*worker_costs: WorkerCosts, running: int = 0, busy: float = 0.0) -> QueueForecast:
    kinds = {str(number): speed for number, speed in enumerate(worker_costs)}
    live = [worker(kind) for kind in kinds]
    seen = build_forecast(APP, live=live, costs=LearnedCosts(kinds, FAST), running=[], now=0.0)
    return replace(seen, running=running, busy_seconds=busy)


def worker(kind: str, *, app: str = APP, problem: str | None = None) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        name="w",
        model="m",
        profile=kind,
        apps=(app,),
        version="1",
        ready=True,
        problem=problem,
        seen_at=0,
        expires_at=1,
        incarnation="i",
    )


def test_no_wait_while_a_worker_is_free() -> None:
    """Nothing is waited for while there are fewer requests than workers."""
    assert forecast(FAST, FAST, FAST, running=1, busy=99.0).wait_seconds(work_ahead(1)) == 0.0


def test_wait_for_what_runs_and_what_is_ahead() -> None:
    """The wait is what runs and what is ahead, shared by the workers; storing files keeps no device busy."""
    assert forecast(FAST, running=1, busy=1.5).wait_seconds(work_ahead(0)) == 1.5
    assert forecast(FAST, running=1, busy=1.5).wait_seconds(work_ahead(10)) == pytest.approx(21.5)
    assert forecast(FAST, FAST, running=2, busy=1.0).wait_seconds(work_ahead(10)) == pytest.approx(0.5 + 10)


def test_unlike_workers() -> None:
    """A slow worker next to a fast one shortens the queue in proportion to its speed."""
    assert forecast(FAST, SLOW, running=2).wait_seconds(work_ahead(8)) == pytest.approx(8 / (1 / 2 + 1 / 6))
    assert forecast(FAST, SLOW).typical.service(ONE, ONE) == pytest.approx(4.5)


def test_whole_time_of_a_queued_request() -> None:
    """While it waits: what has passed, what is before it, and itself."""
    job = make_job(submitted_at=100.0)

    assert expected_total(job, work_ahead(3), forecast(FAST, running=1, busy=1.0), 110.0) == pytest.approx(
        10 + 1 + 6 + 2.5
    )


@pytest.mark.parametrize(
    ("now", "progress", "total"),
    [
        (105.0, None, 5 + 2.5),
        (106.0, Progress(5, 10), 5 + 2.5),
        (115.0, Progress(9, 10), 15 + 10 / 9),  # overdue: its own progress says how long
        (115.0, Progress(1, 10), 15 + 2.5),  # overdue, but ninety seconds more are implausible
    ],
)
def test_whole_time_of_a_running_request(now: float, progress: Progress | None, total: float) -> None:
    """While it runs: what has passed and what is left, by prediction or by its own progress."""
    job = replace(make_job(submitted_at=100.0), started_at=105.0, state=JobState.RUNNING, progress=progress)

    assert expected_total(job, None, forecast(FAST), now) == pytest.approx(total)


def test_outlook_counts_who_can_serve() -> None:
    """Workers of other apps and workers with a problem do not count; without any, one is imagined."""
    live = [worker("a"), worker("a"), worker("b"), worker("a", app="other"), worker("a", problem="no model")]
    seen = build_forecast(APP, live=live, costs=LearnedCosts({"a": FAST}, SLOW), running=[], now=0.0)
    unserved = build_forecast(APP, live=live[3:], costs=LearnedCosts({"a": FAST}, SLOW), running=[], now=0.0)

    assert (seen.worker_costs, seen.workers) == (((FAST, 2), (SLOW, 1)), 3)
    assert (unserved.worker_costs, unserved.workers) == (((SLOW, 1),), 1)


def test_outlook_adds_up_what_is_left() -> None:
    """What runs keeps devices busy for what is left of its generation."""
    running = [RunningJob(APP, ONE, 9.5, Progress(1, 4)), RunningJob(APP, ONE, 8.5, Progress(6, 8))]
    seen = build_forecast(APP, live=[], costs=LearnedCosts({}, FAST), running=running, now=10.0)

    assert 2 == seen.running
    assert seen.busy_seconds == pytest.approx(1.5 + 0.5)


def test_most_observed_kind() -> None:
    """Without workers, the kind with the most observations is expected."""
    work = spec_work(make_spec())
    once, twice = CostModel().observe(work, 1.0), CostModel().observe(work, 3.0).observe(work, 3.0)
    cost_models = {("a", "generate"): once, ("b", "generate"): twice}

    costs = LearnedCosts.fit(cost_models)

    assert costs.default == costs.by_kind["b"]
    assert LearnedCosts.fit({}) == LearnedCosts({}, prior_costs())
    assert costs.by_kind["b"].generate.predict(work) == pytest.approx(3.0, rel=0.1)


async def estimate(service: Service, request_id: str) -> int:
    status = (await service.client.get(service.status_path(request_id))).json()
    seconds: int = status["statusMessages"]["estimatedTotalTimeSeconds"]
    return seconds


async def test_estimate_follows_what_was_learned(service: Service) -> None:
    """Estimates come from what this installation measured, and grow with the queue."""
    await service.heartbeat(profile="gpu")
    # As the demo model generates what names nothing but a prompt.
    generated = make_spec(width=256, height=256, guidance_scale=1.5)
    stored = make_spec(width=1024, height=1024, guidance_scale=1.5)
    for _ in range(10):
        await service.store.workers.add_observation("gpu", "generate", spec_work(generated), 30.0)
        await service.store.workers.add_observation("gpu", "store", spec_work(stored), 1.0)

    first, second = await service.submit(), await service.submit()

    assert await estimate(service, first) == pytest.approx(31, abs=2)
    assert await estimate(service, second) == pytest.approx(61, abs=4)


async def test_estimate_is_kept_with_the_request(service: Service) -> None:
    """What was expected at submit is stored, to be held against the truth."""
    job = await service.store.jobs.get(await service.submit())

    assert job is not None
    assert job.estimated_seconds == pytest.approx(prior_costs().service(job.work, spec_work(job.spec)))


async def test_estimate_counts_time_that_passed(service: Service) -> None:
    """The longer a request has waited, the longer it takes in all."""
    await service.heartbeat()
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
