"""The number of workers to run. It follows the queued work in seconds, not the number of requests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipelet.domain.capacity.forecast import LearnedCosts, busy_seconds
from pipelet.domain.jobs.job import MIN_PRIORITY
from pipelet.domain.ports.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """Scaling goals of an operator; the help of `pipelet fleet` shows these texts."""

    minimum: int = 1
    """Minimum number of workers, even without work."""
    maximum: int
    """Maximum number of workers."""
    target_drain_seconds: float = 60.0
    """Seconds in which the queue should be empty: the fleet adds workers if the predicted work takes longer."""
    scale_down_delay_seconds: float = 300.0
    """Seconds for which fewer workers must have been enough before one is stopped."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Queued and running work."""

    requests: int
    seconds: float
    """Seconds that one worker would need for all of it."""


def desired_workers(demand: Demand, policy: ScalingPolicy) -> int:
    """Return the number of workers that finish `demand` in time; more workers than requests would idle."""
    enough = math.ceil(min(demand.seconds / policy.target_drain_seconds, policy.maximum))
    return max(policy.minimum, min(max(enough, 1), demand.requests, policy.maximum))


class StabilizationWindow:
    """The needs of the last `seconds`: scales up at once, and down only when every recent need was lower."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.seen: list[tuple[float, int]] = []

    def add(self, need: int, *, now: float) -> int:
        """Note what is needed now. Return the largest of the recent needs."""
        self.seen = [(at, known) for at, known in self.seen if now - at < self._seconds] + [(now, need)]
        return max(need for _, need in self.seen)


async def read_demand(store: Store, apps: Sequence[str], now: float) -> Demand:
    """Work of `apps` that needs workers, at the costs that were learned from finished requests. Requests of paused apps
    wait without workers and do not count."""
    paused = await store.queue.paused()
    queued = await store.queue.backlog(MIN_PRIORITY, [app for app in apps if app not in paused])
    running = await store.queue.running(apps)
    kinds = {worker.profile for worker in await store.workers.live(now) if set(worker.apps) & set(apps)}
    costs = LearnedCosts.fit(await store.workers.cost_models()).generation_of(kinds)
    seconds = costs.predict(queued.work) + busy_seconds(costs, running, now)
    return Demand(queued.requests + len(running), seconds)
