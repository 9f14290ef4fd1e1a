"""What waits and what runs, in seconds: the queue's work at the costs that were learned from finished requests."""

from collections.abc import Mapping, Sequence

from pipelet.domain.estimate import PRIOR_DRAW, Costs, Learned, Work, remaining, unlearned
from pipelet.domain.ports import JobStore, Running
from pipelet.fleet.sizing import Demand

_LOWEST = -(2**31)
"""Priority: everything that waits starts before a request of this one."""


async def read_demand(store: JobStore, apps: Sequence[str], now: float) -> Demand:
    paused = await store.paused()  # a worker that came for these would find nothing to draw
    queued = await store.backlog(_LOWEST, [app for app in apps if app not in paused])
    running = await store.running(apps)
    kinds = {worker.kind for worker in await store.live_workers(now) if set(worker.apps) & set(apps)}
    costs = costs_of(kinds, await store.learned())
    seconds = _mean(costs, queued.work) + sum(_rest(costs, job, now) for job in running)
    return Demand(queued.requests + len(running), seconds)


def costs_of(kinds: set[str], learned: Mapping[tuple[str, str], Learned]) -> list[Costs]:
    """Of the kinds of worker that are here; of the one that did most so far, where nothing is known of these."""
    drawing = {kind: sums for (kind, phase), sums in learned.items() if phase == "draw"}
    known = [drawing[kind] for kind in sorted(kinds & drawing.keys())]
    if not known and drawing:
        known = [max(drawing.values(), key=lambda sums: sums.count)]
    return [sums.costs(PRIOR_DRAW) for sums in known] or [unlearned().draw]


def _mean(costs: Sequence[Costs], work: Work) -> float:
    return sum(each.predict(work) for each in costs) / len(costs)


def _rest(costs: Sequence[Costs], job: Running, now: float) -> float:
    done = job.progress.done / job.progress.total if job.progress else 0.0
    return remaining(_mean(costs, job.work), now - job.started_at, done)
