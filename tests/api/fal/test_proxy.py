"""The address to which fal's JavaScript client can be told to send every call."""

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.service import Service
from tests.support.jobs import APP


async def through(service: Service, method: str, target: str, **request: object) -> httpx2.Response:
    headers = {"x-fal-target-url": target}
    return await service.client.request(method, "/fal/proxy", headers=headers, **request)  # type: ignore[arg-type]


async def test_every_queue_route_responds_through_the_proxy(service: Service) -> None:
    """Submit, status with its query, cancel and result: the responses are those of the routes themselves."""
    root = f"https://queue.fal.run/queue/{APP}"
    submitted = await through(service, "POST", root, json={"prompt": "a"})
    request_id = submitted.json()["request_id"]
    request = f"{root}/requests/{request_id}"

    status = await through(service, "GET", f"{request}/status?logs=1")
    direct = await service.client.get(f"{service.status_path(request_id)}?logs=1")
    assert (direct.status_code, direct.json()) == (status.status_code, status.json())
    assert isinstance(status.json()["logs"], list)
    assert 202 == (await through(service, "PUT", f"{request}/cancel")).status_code
    assert 499 == (await through(service, "GET", request)).status_code
    assert submitted.json()["status_url"].startswith(f"http://pipelet.test/fal/queue/{APP}/requests/")


async def test_the_callers_own_key_is_needed(service: Service) -> None:
    """The proxy has no key of its own for its callers."""
    del service.client.headers["Authorization"]

    response = await through(service, "POST", f"https://queue.fal.run/queue/{APP}", json={"prompt": "a"})

    assert 401 == response.status_code
    assert 0 == await service.queued()


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("https://example.com/queue/z-image-text-to-image", 400),
        ("https://queue.fal.run.example.com/queue/z-image-text-to-image", 400),
        ("https://user@queue.fal.run/queue/z-image-text-to-image", 400),
        ("http://queue.fal.run/queue/z-image-text-to-image", 400),
        ("https://rest.fal.ai/tokens/", 400),
        ("http://rest.fal.ai/storage/upload/initiate", 400),
        ("https://[", 400),
        ("queue.fal.run", 400),
        ("", 400),
        ("https://queue.fal.run/proxy", 404),
        ("https://queue.fal.run/queue/../proxy", 404),
        ("https://queue.fal.run/fal-ai/z-image/base", 404),
        ("https://fal.run/metrics", 404),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_other_addresses_are_refused(shared_service: Service, target: str, status: int) -> None:
    """What is not fal's queue is not called, and the response says so in one line."""
    response = await through(shared_service, "GET", target)

    assert status == response.status_code
    assert response.json()["message"]


async def test_without_an_address_it_says_what_it_is_for(service: Service) -> None:
    """None, or two, is a clear refusal."""
    none = await service.client.get("/fal/proxy/")
    two = await service.client.get("/fal/proxy", headers=[("x-fal-target-url", "https://fal.run/queue/a")] * 2)

    assert [400, 400] == [none.status_code, two.status_code]
    assert "x-fal-target-url" in none.json()["message"]


async def test_behind_a_prefix_the_proxy_finds_the_routes(service: Service, app: FastAPI) -> None:
    """Where a server in front mounts the service under a prefix, it works as well."""
    transport = httpx2.ASGITransport(app, root_path="/images")
    headers = {"Authorization": f"Bearer {service.key}", "x-fal-target-url": f"https://queue.fal.run/queue/{APP}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test", headers=headers) as client:
        response = await client.post("/images/fal/proxy", json={"prompt": "a"})

    assert 200 == response.status_code
    assert response.json()["status_url"].startswith("http://pipelet.test/images/fal/queue/")
