"""Metrics of the service. Durations come from the finished requests in the store: workers are not scraped."""

import asyncio
from collections import deque
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pipelet.domain.catalog import Catalog
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.store import Store

_LIMIT = 10_000
_OVERLAP = 10.0
"""Seconds that are read again: a request may become visible a moment after its end."""
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)
_RATIOS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10)


class Metrics:
    """Counts since the start of this process."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._apps = tuple(catalog.apps)
        self._scraping = asyncio.Lock()
        self._since = clock.now()
        self._last = self._since
        self._counted: deque[tuple[float, str]] = deque()
        registry = self._registry = CollectorRegistry()
        app = ["app"]
        self._requests = Gauge("pipelet_requests", "Unfinished requests.", ["app", "state"], registry=registry)
        self._oldest = Gauge(
            "pipelet_queue_oldest_age_seconds", "Age of the oldest queued request.", app, registry=registry
        )
        self._workers = Gauge("pipelet_workers", "Live workers.", ["profile", "ready"], registry=registry)
        self._submitted = Counter("pipelet_requests_submitted", "Accepted requests.", app, registry=registry)
        self._rejected = Counter(
            "pipelet_requests_rejected", "Submits refused with 429.", ["reason"], registry=registry
        )
        self._paused = Gauge("pipelet_app_paused", "1 while the app is paused.", app, registry=registry)
        self._finished = Counter("pipelet_requests_finished", "Ended requests.", ["app", "state"], registry=registry)
        self._pickup = self._seconds("pipelet_queue_wait_seconds", "From submit to the first attempt.")
        self._inference = self._seconds("pipelet_generation_seconds", "Generation.")
        self._total = self._seconds("pipelet_request_duration_seconds", "From submit to result.")
        self._estimate_error = Histogram(
            "pipelet_estimate_error_ratio",
            "Error of the estimate at submit, as a share of the real time.",
            app,
            buckets=_RATIOS,
            registry=registry,
        )

        self._webhook_attempts = Counter(
            "pipelet_webhook_attempts", "Attempts of this process to deliver a webhook.", ["outcome"], registry=registry
        )
        for outcome in ("delivered", "retrying", "failed"):
            self._webhook_attempts.labels(outcome)
        self._pending_webhooks = Gauge("pipelet_webhooks_pending", "Webhooks that are due.", registry=registry)
        self._oldest_webhook = Gauge(
            "pipelet_webhooks_oldest_age_seconds",
            "Seconds since the end of the request with the oldest due webhook.",
            registry=registry,
        )

    def _seconds(self, name: str, documentation: str) -> Histogram:
        return Histogram(name, documentation, ["app"], buckets=_SECONDS, registry=self._registry)

    def submitted(self, app: str) -> None:
        self._submitted.labels(app).inc()

    def webhook_attempted(self, outcome: str) -> None:
        self._webhook_attempts.labels(outcome).inc()

    def rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    async def text(self) -> bytes:
        async with self._scraping:
            await self._count_finished()
            await self._read_gauges()
            return generate_latest(self._registry)

    async def _count_finished(self) -> None:
        since = max(self._since, self._last - _OVERLAP)
        while True:
            ended = await self._store.jobs.finished_since(since, _LIMIT)
            known = {job_id for _, job_id in self._counted}
            new = [job for job in ended if job.id not in known]
            for job in new:
                self._observe(job)
            self._mark_counted(new)
            await asyncio.sleep(0)  # a long catch-up must not block requests
            last = ended[-1].finished_at if len(ended) == _LIMIT else None
            if last is None or last <= since:
                return
            since = last

    def _mark_counted(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            ended = job.finished_at or self._last
            self._last = max(self._last, ended)
            self._counted.append((ended, job.id))
        while self._counted and self._counted[0][0] < self._last - _OVERLAP:
            self._counted.popleft()

    def _observe(self, job: Job) -> None:
        self._finished.labels(job.app, job.state.value).inc()
        if job.started_at is not None and job.attempt == 1:
            self._pickup.labels(job.app).observe(job.started_at - job.submitted_at)
        if job.state is not JobState.SUCCEEDED or job.finished_at is None:
            return
        took = job.finished_at - job.submitted_at
        self._total.labels(job.app).observe(took)
        self._inference.labels(job.app).observe(job.inference_seconds or 0.0)
        if took > 0:
            self._estimate_error.labels(job.app).observe(abs(job.estimated_seconds - took) / took)

    async def _read_gauges(self) -> None:
        now = self._clock.now()
        counts = await self._store.queue.counts()
        for app in {*self._apps, *counts}:
            found = counts.get(app)
            self._requests.labels(app, "queued").set(found.queued if found else 0)
            self._requests.labels(app, "running").set(found.running if found else 0)
            oldest = found.oldest_submitted_at if found else None
            self._oldest.labels(app).set(0 if oldest is None else max(0.0, now - oldest))
        webhooks = await self._store.outbox.pending()
        self._pending_webhooks.set(webhooks.count)
        self._oldest_webhook.set(0 if webhooks.oldest is None else max(0.0, now - webhooks.oldest))
        paused = await self._store.queue.paused()
        for app in {*self._apps, *paused}:
            self._paused.labels(app).set(app in paused)
        self._workers.clear()
        for worker in await self._store.workers.live(now):
            self._workers.labels(worker.profile, str(worker.ready).lower()).inc()
