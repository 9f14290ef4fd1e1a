"""`PUT …/cancel?in_progress=true`."""

import pytest

from pipelet.api.fal.description import schemas
from pipelet.domain.jobs.outcome import Cancelled
from tests.api.service import Service, stored_image


@pytest.mark.parametrize("query", ["in_progress=true", "in_progress=1", "in_progress=YES"])
async def test_what_runs_is_told_to_stop(service: Service, query: str) -> None:
    """202, any number of times; it is `IN_PROGRESS` until its worker has stopped, then its result is a 499."""
    request_id = await service.submit(batch_size=2)
    lease = await service.claim()
    path = f"{service.result_path(request_id)}/cancel?{query}"

    responses = [await service.client.put(path) for _ in range(2)]
    status = await service.client.get(service.status_path(request_id))

    assert [(202, {"status": "CANCELLATION_REQUESTED"})] * 2 == [(each.status_code, each.json()) for each in responses]
    assert "IN_PROGRESS" == status.json()["status"]
    assert {lease.token} == set(await service.store.leases.list_signals("w1", service.clock.now()))
    await service.store.leases.finish(lease, Cancelled(()), service.clock.now())
    status = await service.client.get(service.status_path(request_id))
    assert ("COMPLETED", "client_cancelled") == (status.json()["status"], status.json()["error_type"])
    result = await service.client.get(service.result_path(request_id))
    assert (499, "client_cancelled") == (result.status_code, result.json()["error_type"])
    assert "images" not in result.json()
    assert 202 == (await service.client.put(path)).status_code


async def test_what_was_finished_is_listed(service: Service) -> None:
    """The 499 of a batch that was stopped half-way names the images that there are, with URLs that work."""
    request_id = await service.submit(batch_size=2)
    lease = await service.claim()
    image = stored_image(lease.job, 0, 3)
    await service.store.files.reserve(lease, [image.key])
    await service.blobs.put(image.key, b"png", image.content_type)
    await service.client.put(f"{service.result_path(request_id)}/cancel?in_progress=true")
    await service.store.leases.finish(lease, Cancelled((image,)), service.clock.now())

    result = await service.client.get(service.result_path(request_id))

    assert 499 == result.status_code
    refusal = schemas.Refusal.model_validate_json(result.content, strict=True, extra="forbid")
    assert refusal.images is not None
    [kept] = refusal.images
    assert (image.file_name, image.seed) == (kept.file_name, kept.seed)
    assert b"png" == (await service.client.get(kept.url)).content


async def test_what_finished_first_stays_finished(service: Service) -> None:
    """A worker may be done before it learns of the cancel: then there is a result, and the cancel came too late."""
    request_id = await service.submit()
    lease = await service.claim()
    path = f"{service.result_path(request_id)}/cancel?in_progress=true"
    assert 202 == (await service.client.put(path)).status_code
    await service.succeed(lease)

    assert 200 == (await service.client.get(service.result_path(request_id))).status_code
    response = await service.client.put(path)
    assert (400, "ALREADY_COMPLETED") == (response.status_code, response.json()["status"])


@pytest.mark.parametrize("query", ["", "?in_progress=false", "?in_progress=", "?in_progress=maybe"])
async def test_nothing_is_stopped_unasked(service: Service, query: str) -> None:
    """The response says how it could be."""
    request_id = await service.submit()
    await service.claim()

    response = await service.client.put(f"{service.result_path(request_id)}/cancel{query}")

    assert (400, "ALREADY_IN_PROGRESS") == (response.status_code, response.json()["status"])
    assert "in_progress=true" in response.json()["message"]
    assert {} == await service.store.leases.list_signals("w1", service.clock.now())
