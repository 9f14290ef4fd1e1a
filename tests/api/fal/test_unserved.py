"""An app that the chosen model cannot serve, and one that no worker serves at present."""

from typing import Any

import pytest

from pipelet.domain.catalog import Catalog
from tests.api.service import CATALOG, Service
from tests.support.jobs import APP, EDIT


@pytest.fixture
def catalog() -> Catalog:
    """As with `--model owner/name`: the catalog has no entry for it, and so none that says that it edits."""
    return CATALOG.with_model("owner/name")


async def test_an_app_that_nothing_serves_says_so(service: Service) -> None:
    """It is known, nothing is queued, and the response names where requests go."""
    response = await service.client.post(f"/fal/queue/{EDIT}", json={"prompt": "a"})

    assert 404 == response.status_code
    assert f"{EDIT} is known" in response.json()["message"]
    assert APP in response.json()["message"]
    assert 0 == await service.queued()


NO_WORKER: dict[str, dict[str, Any] | None] = {
    "none": None,
    "of another app": {"apps": (EDIT,)},
    "with a problem": {"problem": "The model folder is empty."},
    "that is gone": {"expires_at": 0.0},
}


async def told(service: Service, request_id: str) -> tuple[str, int | None]:
    status = (await service.client.get(service.status_path(request_id))).json()
    return status["statusMessages"]["message"], status["statusMessages"]["estimatedTotalTimeSeconds"]


@pytest.mark.parametrize("worker", NO_WORKER.values(), ids=NO_WORKER)
async def test_a_request_that_no_worker_will_begin_says_so(service: Service, worker: dict[str, Any] | None) -> None:
    """No time is promised until one comes that does, also one that still loads its model."""
    if worker is not None:
        await service.heartbeat(**worker)
    request_id = await service.submit()

    before = await told(service, request_id)
    await service.heartbeat(ready=False)
    service.clock.time += 1
    after = await told(service, request_id)

    assert (
        "Queued: 0 requests ahead. No worker serves this app at present; requests wait until one does",
        None,
    ) == before
    assert "Queued: 0 requests ahead" == after[0]
    assert after[1] is not None


async def test_a_worker_that_is_drained_begins_nothing(service: Service) -> None:
    """What it generates has a time all the same."""
    await service.heartbeat(name="gpu-7")
    running, waiting = await service.submit(), await service.submit()
    await service.claim()
    await service.store.workers.drain("gpu-7", service.clock.now())
    service.clock.time += 1

    (_, seconds), (message, none) = await told(service, running), await told(service, waiting)

    assert seconds is not None
    assert "No worker serves this app" in message
    assert none is None


async def test_a_paused_app_promises_no_time(service: Service) -> None:
    """Only the operator knows."""
    await service.heartbeat()
    await service.store.queue.pause(APP, service.clock.now())

    message, seconds = await told(service, await service.submit())

    assert "paused" in message
    assert seconds is None
