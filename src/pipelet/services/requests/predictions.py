"""Predictions for requests that are not submitted: how long they would take, and what would start before them."""

from dataclasses import dataclass

from pipelet.domain.capacity.cost_model import generation_work
from pipelet.domain.catalog import Catalog
from pipelet.domain.generation.image import InputImage
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.ports.store import Store
from pipelet.services.queue.estimates import Estimates
from pipelet.services.requests.submit import NewRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    seconds: float | None
    """Seconds from submit to result; None while the app is paused or has no worker."""
    position: int
    """Number of requests that would start before it."""
    image_seconds: float
    """Seconds of work for each of its images."""


class Predictions:
    def __init__(self, store: Store, catalog: Catalog, estimates: Estimates) -> None:
        self._store = store
        self._catalog = catalog
        self._estimates = estimates

    async def predict(self, new: NewRequest) -> Prediction:
        """Predict what a submit of this request would take now. Its input images are not fetched: they count as images
        of the size that is generated."""
        limits, values = new.app.limits, new.input.values
        size = [values[side] or limits.default_side for side in ("width", "height")]
        image = InputImage(key="", width=size[0], height=size[1])
        spec = new.spec((image,) * len(new.input.image_urls))
        work = generation_work(plan_generation(spec, self._catalog.model_of(new.app)))
        ahead = await self._estimates.work_ahead_of_new(new.app.name, new.effective_priority(), new.key.user)
        total = await self._estimates.estimated_seconds(new.app.name, spec, work, ahead)
        service = await self._estimates.service_seconds(new.app.name, spec, work)
        waits_for_operator = new.app.name in await self._store.queue.paused()
        is_predictable = not waits_for_operator and await self._estimates.is_served(new.app.name)
        return Prediction(
            seconds=total if is_predictable else None,
            position=ahead.requests,
            image_seconds=service / spec.batch_size,
        )
