"""A model that generates small and is asked for large images: what is said of the work."""

from typing import Any

import pytest

from pipelet.domain.capacity.cost_model import prior_costs, spec_work
from pipelet.domain.catalog import Catalog
from pipelet.wiring.catalog_parser import parse
from tests.api.service import Service
from tests.support.jobs import make_spec

LARGE: dict[str, Any] = {"width": 3200, "height": 2000, "batch_size": 4}


@pytest.fixture
def catalog() -> Catalog:
    """One model, trained for two sizes."""
    return parse(
        """
        [models.small]
        source = "none"
        num_inference_steps = 8
        guidance_scale = 0.0
        native_sizes = ["256x256", "384x256"]
        [apps.z-image-text-to-image]
        task = "text-to-image"
        model = "small"
        """
    )


async def test_the_estimate_counts_what_is_generated(service: Service) -> None:
    """Generating costs what the native size costs; only storing grows with the size that was asked for."""
    job = await service.store.jobs.get(await service.submit(**LARGE))

    assert job is not None
    generating, recording = spec_work(make_spec(width=384, height=256, batch_size=4)), spec_work(make_spec(**LARGE))
    assert generating == job.work
    assert pytest.approx(prior_costs().service(generating, recording)) == job.estimated_seconds


async def test_the_queue_counts_what_is_generated(service: Service) -> None:
    """The work ahead of a request is what its predecessors need of the device."""
    first = await service.store.jobs.get(await service.submit(**LARGE))
    second = await service.store.jobs.get(await service.submit())

    assert first is not None
    assert second is not None
    ahead = await service.store.queue.work_ahead(second, [second.app])
    assert first.work == ahead.work


async def test_tasks_are_those_of_what_is_generated(service: Service) -> None:
    """Four large images are one run of the pipeline where they are generated small."""
    request_id = await service.submit(**LARGE)
    await service.claim()

    status = (await service.client.get(service.status_path(request_id))).json()

    assert "Progress: 0/12 Tasks done" == status["statusMessages"]["message"]
