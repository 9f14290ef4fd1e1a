"""When a queued request starts and ends: the learned costs, applied to the live workers and to the work before it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pipelet.domain.capacity.cost_model import (
    PRIOR_GENERATE,
    PRIOR_STORE,
    CostCoefficients,
    CostModel,
    Work,
    WorkAhead,
    WorkerCosts,
    prior_costs,
    remaining_seconds,
    spec_work,
)
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.progress import Progress


@dataclass(frozen=True, slots=True)
class LearnedCosts:
    """Costs of every kind of worker that has finished requests."""

    by_kind: Mapping[str, WorkerCosts]
    default: WorkerCosts
    """Costs of a worker of an unknown kind: those of the kind with the most observations, or else the prior ones."""

    @classmethod
    def fit(cls, cost_models: Mapping[tuple[str, str], CostModel]) -> Self:
        """Fit the cost models, which the store keeps by worker kind and phase."""
        none = CostModel()
        by_kind = {
            kind: WorkerCosts(
                cost_models.get((kind, "generate"), none).fit(PRIOR_GENERATE),
                cost_models.get((kind, "store"), none).fit(PRIOR_STORE),
            )
            for kind in {kind for kind, _ in cost_models}
        }
        if not cost_models:
            return cls(by_kind, prior_costs())
        most_observed, _ = max(cost_models, key=lambda key: cost_models[key].count)
        return cls(by_kind, by_kind[most_observed])

    def generation_of(self, kinds: Iterable[str]) -> CostCoefficients:
        """Mean cost of generating, over those of `kinds` that are known; the default where none is."""
        known = [(self.by_kind[kind].generate, 1) for kind in sorted(kinds) if kind in self.by_kind]
        return _mean(known or [(self.default.generate, 1)])


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A running job, as far as the forecast needs it."""

    app: str
    work: Work
    started_at: float
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class QueueForecast:
    """The capacity that the queue of an app has now. The work in that queue is not part of it."""

    worker_costs: tuple[tuple[WorkerCosts, int], ...]
    """Costs of each kind of worker, and the number of workers of that kind; at least one worker in all."""
    workers: int
    typical: WorkerCosts
    """Mean costs of these workers."""
    running: int
    busy_seconds: float
    """Seconds that the running requests still occupy devices, added up."""
    is_served: bool = True
    """False: no live worker starts requests of the app, and the costs are those of an assumed worker."""

    def wait_seconds(self, ahead: WorkAhead) -> float:
        """Seconds until a request with `ahead` before it starts."""
        if ahead.requests + self.running < self.workers:
            return 0.0
        until_free = self.busy_seconds / self.workers
        if ahead.requests == 0:
            return until_free
        # Workers drain one queue in parallel: their rates add up, not their times.
        rate = sum(number / max(costs.generate.predict(ahead.work), 1e-9) for costs, number in self.worker_costs)
        return until_free + 1 / rate

    def seconds_until_start(self, ahead: WorkAhead) -> float:
        """Like `wait_seconds`, for a request that waits although a worker is free: its key is at its running limit
        until a running request ends."""
        return self.wait_seconds(ahead) or self.busy_seconds / max(self.running, 1)


def build_forecast(
    app: str,
    *,
    live: Sequence[WorkerHeartbeat],
    costs: LearnedCosts,
    running: Sequence[RunningJob],
    now: float,
) -> QueueForecast:
    """Forecast from the `live` workers and the requests that they run; without workers, from one with default costs."""
    kinds = Counter(worker.profile for worker in live if worker.serves(app))
    of_each = tuple((costs.by_kind.get(kind, costs.default), number) for kind, number in kinds.items())
    of_each = of_each or ((costs.default, 1),)
    typical = WorkerCosts(
        _mean([(each.generate, number) for each, number in of_each]),
        _mean([(each.store, number) for each, number in of_each]),
    )
    return QueueForecast(
        worker_costs=of_each,
        workers=sum(number for _, number in of_each),
        typical=typical,
        running=len(running),
        busy_seconds=busy_seconds(typical.generate, running, now),
        is_served=bool(kinds),
    )


def busy_seconds(generate: CostCoefficients, running: Iterable[RunningJob], now: float) -> float:
    """Seconds that the `running` requests still occupy devices, added up."""
    return sum(
        remaining_seconds(generate.predict(job.work), now - job.started_at, _fraction_done(job.progress))
        for job in running
    )


def expected_total(job: Job, ahead: WorkAhead | None, forecast: QueueForecast, now: float) -> float:
    """Seconds from submit to result of an unfinished `job`. `ahead` counts for a queued one only."""
    elapsed = now - job.submitted_at
    service = forecast.typical.service(job.work, spec_work(job.spec))
    if job.state is JobState.RUNNING and job.started_at is not None:
        return elapsed + remaining_seconds(service, now - job.started_at, _fraction_done(job.progress))
    return elapsed + (forecast.wait_seconds(ahead) if ahead else 0.0) + service


def _fraction_done(progress: Progress | None) -> float:
    return progress.done / progress.total if progress else 0.0


def _mean(costs: Sequence[tuple[CostCoefficients, int]]) -> CostCoefficients:
    """Mean of costs that a number of workers has each."""
    workers = sum(number for _, number in costs)
    each = (tuple(cost * number / workers for cost in of_kind.seconds) for of_kind, number in costs)
    return CostCoefficients(tuple(map(sum, zip(*each, strict=True))))
