"""Metrics of the service. Durations come from the finished requests in the store: workers are not scraped."""

import asyncio
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import StoreError
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.ports.store import QueueCounts, Store

_LIMIT = 10_000
_OVERLAP = 10.0
"""Seconds that are read again: a request may become visible a moment after its end."""
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)
_RATIOS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10)


class Metrics:
    """Counts since the start of this process."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._apps = tuple(catalog.apps)
        self._scraping = asyncio.Lock()
        self._since = store.clock.now()
        self._last = self._since
        self._counted: dict[str, float] = {}
        self._registry = registry = CollectorRegistry()
        gauge, counter = partial(Gauge, registry=registry), partial(Counter, registry=registry)
        histogram = partial(Histogram, labelnames=["app"], registry=registry)
        seconds = partial(histogram, buckets=_SECONDS)
        self._requests = gauge("pipelet_requests", "Unfinished requests.", ["app", "state"])
        self._oldest = gauge("pipelet_queue_oldest_age_seconds", "Age of the oldest queued request.", ["app"])
        self._workers = gauge("pipelet_workers", "Live workers.", ["profile", "ready"])
        self._submitted = counter("pipelet_requests_submitted", "Accepted requests.", ["app"])
        self._rejected = counter("pipelet_requests_rejected", "Submits refused by a limit.", ["reason"])
        self._authentication_failures = counter(
            "pipelet_authentication_failures", "Keys, sessions and login codes that were not valid.", ["reason"]
        )
        self._paused = gauge("pipelet_app_paused", "1 while the app is paused.", ["app"])
        self._finished = counter("pipelet_requests_finished", "Ended requests.", ["app", "state"])
        self._pickup = seconds("pipelet_queue_wait_seconds", "From submit to the first attempt.")
        self._inference = seconds("pipelet_generation_seconds", "Generation.")
        self._total = seconds("pipelet_request_duration_seconds", "From submit to result.")
        self._estimate_error = histogram(
            "pipelet_estimate_error_ratio",
            "Error of the estimate at submit, as a share of the real time.",
            buckets=_RATIOS,
        )
        self._webhook_attempts = counter(
            "pipelet_webhook_attempts", "Attempts of this process to deliver a webhook.", ["outcome"]
        )
        for outcome in ("delivered", "retrying", "failed"):
            self._webhook_attempts.labels(outcome)
        self._pending_webhooks = gauge("pipelet_webhooks_pending", "Webhooks that are due.")
        self._oldest_webhook = gauge(
            "pipelet_webhooks_oldest_age_seconds", "Seconds since the end of the request with the oldest due webhook."
        )

    def submitted(self, app: str) -> None:
        self._submitted.labels(app).inc()

    def webhook_attempted(self, outcome: str) -> None:
        self._webhook_attempts.labels(outcome).inc()

    def rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def authentication_failed(self, reason: str) -> None:
        self._authentication_failures.labels(reason).inc()

    async def scrape(self) -> Response:
        async with self._scraping:
            await self._count_finished()
            await self._read_gauges()
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    async def _count_finished(self) -> None:
        since = max(self._since, self._last - _OVERLAP)
        while True:
            ended = await self._store.jobs.finished_since(since, _LIMIT)
            for job in ended:
                if job.id not in self._counted:
                    self._observe(job)
                    self._counted[job.id] = job.finished_at or self._last
            self._last = max([self._last, *self._counted.values()])
            self._counted = {job: at for job, at in self._counted.items() if at >= self._last - _OVERLAP}
            await asyncio.sleep(0)  # a long catch-up must not block requests
            last = ended[-1].finished_at if len(ended) == _LIMIT else None
            if last is None or last <= since:
                return
            since = last

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
        now = self._store.clock.now()
        counts = await self._store.queue.counts()
        for app in {*self._apps, *counts}:
            found = counts.get(app, QueueCounts(0, 0, None))
            self._requests.labels(app, "queued").set(found.queued)
            self._requests.labels(app, "running").set(found.running)
            self._oldest.labels(app).set(_age(found.oldest_submitted_at, now))
        webhooks = await self._store.outbox.pending()
        self._pending_webhooks.set(webhooks.count)
        self._oldest_webhook.set(_age(webhooks.oldest, now))
        paused = await self._store.queue.paused()
        for app in {*self._apps, *paused}:
            self._paused.labels(app).set(app in paused)
        self._workers.clear()
        for worker in await self._store.workers.live(now):
            self._workers.labels(worker.profile, str(worker.ready).lower()).inc()


def _age(since: float | None, now: float) -> float:
    return 0.0 if since is None else max(0.0, now - since)


def build_metrics_app(metrics: Metrics) -> Starlette:
    """Serves the metrics without a key, for an address that only the monitoring system reaches."""

    async def scrape(_: Request) -> Response:
        try:
            return await metrics.scrape()
        except StoreError:  # the parts of the service that need it log the reason
            return PlainTextResponse("The database is unavailable.\n", 503)

    return Starlette(routes=[Route("/metrics", scrape)])
