"""Overview of the queue of each app and of the live workers."""

from dataclasses import dataclass

from pipelet.domain.capacity.cost_model import Work, generation_work
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.catalog import Catalog, ModelConfig
from pipelet.domain.generation.image import ImageSpec, OutputFormat
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.ports.store import CompletedCounts, QueueCounts, Store
from pipelet.services.queue.estimates import Estimates

RATE_MINUTES = 5
"""Minutes over which rates are measured."""
_EMPTY = QueueCounts(queued=0, running=0, oldest_submitted_at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppQueue:
    """The queue of one app."""

    app: str
    queued: int
    running: int
    oldest_seconds: float | None
    """Seconds that the oldest queued request has waited."""
    requests_per_minute: float
    """Completed requests, over the last `RATE_MINUTES`."""
    images_per_minute: float
    waiting_seconds: float | None
    """Predicted seconds until all queued requests have started; None while the app is paused or has no worker."""
    paused_seconds: float | None
    """Seconds since the app was paused; None if it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A live worker."""

    name: str
    kind: str
    apps: tuple[str, ...]
    version: str
    state: str
    """`ready`, `not ready` or `draining`."""
    problem: str | None
    seen_seconds: float
    """Seconds since its last heartbeat."""
    megapixel_seconds: float | None
    """Seconds to generate an image of one megapixel with the defaults of its model, as learned from workers of its
    kind; None before one of them has finished a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    apps: list[AppQueue]
    workers: list[WorkerState]


async def load_overview(store: Store, catalog: Catalog, *, now: float | None = None) -> Overview:
    """Read the queues of all served apps and of all apps with requests, and the live workers.

    Args:
        now: what ages are counted to, in seconds since the epoch; the store's time by default.
    """
    now, estimates = store.clock.now() if now is None else now, Estimates(store, catalog)
    counts, paused = await store.queue.counts(), await store.queue.paused()
    completed = await store.queue.completed_since(now - 60 * RATE_MINUTES)
    queues = []
    for name in dict.fromkeys([*catalog.served_apps(), *sorted({*counts, *paused})]):
        found, done = counts.get(name, _EMPTY), completed.get(name, CompletedCounts(0, 0))
        oldest = found.oldest_submitted_at
        queues.append(
            AppQueue(
                app=name,
                queued=found.queued,
                running=found.running,
                oldest_seconds=None if oldest is None else max(0.0, now - oldest),
                requests_per_minute=done.requests / RATE_MINUTES,
                images_per_minute=done.images / RATE_MINUTES,
                waiting_seconds=None if name in paused else await estimates.seconds_until_all_started(name),
                paused_seconds=max(0.0, now - paused[name]) if name in paused else None,
            )
        )
    workers = []
    for worker in await store.workers.live(now):
        model = catalog.models.get(worker.model)
        seconds = None if model is None else await estimates.learned_seconds(worker.profile, _megapixel(model))
        workers.append(_state(worker, now, seconds))
    return Overview(apps=queues, workers=workers)


def _megapixel(model: ModelConfig) -> Work:
    """The work of one image of one megapixel."""
    spec = ImageSpec(
        prompt="",
        negative_prompt=None,
        width=1000,
        height=1000,
        batch_size=1,
        seed=0,
        num_inference_steps=model.num_inference_steps,
        guidance_scale=model.guidance_scale,
        output_format=OutputFormat.PNG,
    )
    return generation_work(plan_generation(spec, model))


def _state(worker: WorkerHeartbeat, now: float, megapixel_seconds: float | None) -> WorkerState:
    return WorkerState(
        name=worker.name,
        kind=worker.profile,
        apps=worker.apps,
        version=worker.version,
        state="draining" if worker.draining else "ready" if worker.ready else "not ready",
        problem=worker.problem,
        seen_seconds=max(0.0, now - worker.seen_at),
        megapixel_seconds=megapixel_seconds,
    )
