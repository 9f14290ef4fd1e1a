"""Queued and running work in seconds, at the costs that were learned from finished requests."""

from collections.abc import Sequence

from pipelet.domain.capacity.forecast import LearnedCosts, busy_seconds
from pipelet.domain.jobs.job import MIN_PRIORITY
from pipelet.domain.ports.store import Store
from pipelet.fleet.policy import Demand


async def read_demand(store: Store, apps: Sequence[str], now: float) -> Demand:
    """Work of `apps` that needs workers. Requests of paused apps wait without workers and do not count."""
    paused = await store.queue.paused()
    queued = await store.queue.backlog(MIN_PRIORITY, [app for app in apps if app not in paused])
    running = await store.queue.running(apps)
    kinds = {worker.profile for worker in await store.workers.live(now) if set(worker.apps) & set(apps)}
    costs = LearnedCosts.fit(await store.workers.cost_models()).generation_of(kinds)
    seconds = costs.predict(queued.work) + busy_seconds(costs, running, now)
    return Demand(queued.requests + len(running), seconds)
