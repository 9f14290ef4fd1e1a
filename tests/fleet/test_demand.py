"""What waits and what runs, in seconds, as the store tells it."""

import pytest

from pipelet.domain.capacity.cost_model import PRIOR_GENERATE, CostCoefficients, prior_costs, spec_work
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.store import Store
from pipelet.fleet.policy import read_demand
from tests.support.jobs import APP, claim_request, make_job, make_spec

NOW = 1_000_000.0
PRIOR = CostCoefficients(PRIOR_GENERATE)


def live(kind: str) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        name=kind,
        model="model",
        profile=kind,
        apps=(APP,),
        version="1",
        ready=True,
        problem=None,
        seen_at=NOW,
        expires_at=NOW + 15,
        incarnation="i",
    )


async def teach(store: Store, kind: str, factor: float) -> None:
    """As a worker would that needs `factor` times what the prior says."""
    for side in (64, 256, 1024):
        work = spec_work(make_spec(width=side, height=side))
        await store.workers.add_observation(kind, "generate", work, factor * PRIOR.predict(work))


async def test_an_empty_queue_asks_for_nothing(store: Store) -> None:
    """Without requests there are no seconds."""
    demand = await read_demand(store, [APP], NOW)

    assert (0, 0) == (demand.requests, demand.seconds)


async def test_seconds_are_those_of_the_work(store: Store) -> None:
    """A large request counts for as much as it takes, whatever its priority; other apps count for nothing."""
    small, large = make_job(priority=-(2**31)), make_job(width=3200, height=2000, batch_size=4)
    for job in (small, large, make_job(app="another")):
        await store.jobs.submit(job)

    demand = await read_demand(store, [APP], NOW)

    assert 2 == demand.requests
    assert pytest.approx(prior_costs().generate.predict(small.work + large.work)) == demand.seconds


async def test_what_is_paused_demands_no_workers(store: Store) -> None:
    """Requests of a paused app wait without workers; once it is resumed they count."""
    await store.jobs.submit(make_job())

    await store.queue.pause(APP, NOW)
    assert 0 == (await read_demand(store, [APP], NOW)).requests
    await store.queue.resume(APP)
    assert 1 == (await read_demand(store, [APP], NOW)).requests


async def test_what_runs_counts_for_what_is_left_of_it(store: Store) -> None:
    """A request that is half generated after the predicted half of its time asks for the other half."""
    job = await store.jobs.submit(make_job(width=1024, height=1024))
    predicted = prior_costs().generate.predict(job.work)
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    await store.leases.report_progress(lease, Progress(5, 10))

    demand = await read_demand(store, [APP], NOW + predicted / 2)

    assert 1 == demand.requests
    assert pytest.approx(predicted / 2) == demand.seconds


async def test_the_workers_that_are_here_tell_how_long_it_takes(store: Store) -> None:
    """Seconds are those of the live workers' kinds, in the middle where there are several."""
    for kind, factor in (("slow", 10.0), ("fast", 2.0), ("retired", 1000.0)):
        await teach(store, kind, factor)
    job = await store.jobs.submit(make_job(width=512, height=512))

    await store.workers.heartbeat(live("fast"))
    fast = await read_demand(store, [APP], NOW)
    await store.workers.heartbeat(live("slow"))
    both = await read_demand(store, [APP], NOW)

    assert pytest.approx(2 * PRIOR.predict(job.work), rel=0.05) == fast.seconds
    assert pytest.approx(6 * PRIOR.predict(job.work), rel=0.05) == both.seconds


async def test_without_workers_the_most_experienced_kind_tells(store: Store) -> None:
    """A fleet that has gone to sleep still knows how fast its workers were."""
    await teach(store, "usual", 5.0)
    await store.workers.add_observation("once", "generate", spec_work(make_spec()), 100.0)
    job = await store.jobs.submit(make_job(width=512, height=512))

    demand = await read_demand(store, [APP], NOW)

    assert pytest.approx(5 * PRIOR.predict(job.work), rel=0.05) == demand.seconds
