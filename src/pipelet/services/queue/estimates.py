"""Estimates of waiting and total time, from forecasts that are cached for a moment."""

from pipelet.concurrency.cached_value import CachedValue
from pipelet.domain.capacity.cost_model import Work, WorkAhead, spec_work
from pipelet.domain.capacity.forecast import LearnedCosts, QueueForecast, build_forecast, expected_total
from pipelet.domain.catalog import Catalog
from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.jobs.job import MIN_PRIORITY, Job
from pipelet.domain.jobs.queue_order import Arrival, turn_cost
from pipelet.domain.ports.store import Store


class Estimates:
    """Caches forecasts for a fraction of a second, because every poll of every client needs one."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        now = store.clock.now
        self._store = store
        self._costs = CachedValue(self._read_costs, ttl_seconds=1.0, now=now)
        self._live = CachedValue(lambda: store.workers.live(now()), ttl_seconds=0.5, now=now)
        self._sharing = {
            name: (name,) if app.model is None else catalog.apps_of(app.model) for name, app in catalog.apps.items()
        }
        self._models = {name: app.model or "" for name, app in catalog.apps.items()}
        self._forecasts: dict[str, CachedValue[QueueForecast]] = {}

    def apps_sharing_workers(self, app: str) -> tuple[str, ...]:
        """The apps that wait for the same workers as `app`: those that use its model."""
        return self._sharing.get(app, (app,))

    async def is_served(self, app: str) -> bool:
        """Whether a live worker starts requests of `app`."""
        return (await self._forecast(app)).is_served

    def model_of(self, app: str) -> str:
        """The catalog name of the model of `app`; empty where there is none."""
        return self._models.get(app, "")

    async def backlog(self, app: str) -> WorkAhead:
        """All work that waits for the workers of `app`."""
        return await self._store.queue.backlog(MIN_PRIORITY, self.apps_sharing_workers(app))

    async def work_ahead_of_new(self, app: str, priority: int, user: str) -> WorkAhead:
        """The work that starts before a request of `user` that arrives now."""
        arrival = Arrival(app=app, model=self.model_of(app), priority=priority, user=user)
        return await self._store.queue.work_ahead_of_new(arrival, self.apps_sharing_workers(app))

    async def work_ahead(self, job: Job) -> WorkAhead:
        """The work that starts before the queued `job`."""
        return await self._store.queue.work_ahead(job, self.apps_sharing_workers(job.app))

    async def turn_cost(self, app: str, work: Work) -> int:
        """What a request that takes `work` to generate costs its user's turn: microseconds of device time."""
        return turn_cost((await self._forecast(app)).typical.generate.predict(work))

    async def estimated_seconds(self, app: str, spec: ImageSpec, work: Work, ahead: WorkAhead) -> float:
        """Seconds from submit to result of a request that arrives now behind `ahead` and takes `work` to generate."""
        forecast = await self._forecast(app)
        return forecast.wait_seconds(ahead) + forecast.typical.service(work, spec_work(spec))

    async def service_seconds(self, app: str, spec: ImageSpec, work: Work) -> float:
        """Seconds to generate and store a request that takes `work`, without its wait."""
        return (await self._forecast(app)).typical.service(work, spec_work(spec))

    async def learned_seconds(self, kind: str, work: Work) -> float | None:
        """Seconds in which a worker of `kind` generates `work`; None before one has finished a request."""
        costs = (await self._costs.get()).by_kind.get(kind)
        return None if costs is None else costs.generate.predict(work)

    async def seconds_until_all_started(self, app: str) -> float | None:
        """Seconds until every request that waits now has started; None if no live worker serves `app`."""
        forecast = await self._forecast(app)
        return forecast.wait_seconds(await self.backlog(app)) if forecast.is_served else None

    async def seconds_until_quota_frees(
        self, app: str, images: int, *, key_id: str | None = None, user: str | None = None
    ) -> float | None:
        """Seconds until that many queued images of the key, or of the user, may have started; None if they wait for
        other workers."""
        apps = self.apps_sharing_workers(app)
        ahead = await self._store.queue.work_until_quota_frees(key_id, images, apps, user=user)
        return None if ahead is None else (await self._forecast(app)).seconds_until_start(ahead)

    async def seconds_until_shorter(self, app: str, queue: WorkAhead, requests: int) -> float:
        """Seconds until the first `requests` of `queue`, all assumed to be alike, may have started."""
        before = requests - 1
        amounts = (amount * before / queue.requests for amount in queue.work.amounts())
        return (await self._forecast(app)).seconds_until_start(WorkAhead(before, Work(*amounts)))

    async def total_seconds(self, job: Job, ahead: WorkAhead | None, now: float) -> int:
        """Whole seconds, at least 1, from submit to result; exact once the job has ended."""
        if job.finished_at is not None:
            seconds = job.finished_at - job.submitted_at
        else:
            seconds = expected_total(job, ahead, await self._forecast(job.app), now)
        return max(1, round(seconds))

    async def _forecast(self, app: str) -> QueueForecast:
        cached = self._forecasts.get(app)
        if cached is None:
            cached = CachedValue(lambda: self._read_forecast(app), ttl_seconds=0.25, now=self._store.clock.now)
            self._forecasts[app] = cached
        return await cached.get()

    async def _read_forecast(self, app: str) -> QueueForecast:
        return build_forecast(
            app,
            live=await self._live.get(),
            costs=await self._costs.get(),
            running=await self._store.queue.running(self.apps_sharing_workers(app)),
            now=self._store.clock.now(),
        )

    async def _read_costs(self) -> LearnedCosts:
        return LearnedCosts.fit(await self._store.workers.cost_models())
