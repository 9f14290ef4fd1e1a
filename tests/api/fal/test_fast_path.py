"""The busy routes without a trailing slash pass the router by; with one they go through it."""

import json
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.service import Service
from tests.support.jobs import APP

URL = f"/fal/queue/{APP}"


async def both(service: Service, method: str, path: str, **request: Any) -> list[tuple[int, Any, dict[str, str]]]:
    """Status, body and headers of the responses on either way."""
    responses = [await service.client.request(method, f"{path}{slash}", **request) for slash in ("", "/")]
    return [(response.status_code, response.json(), dict(response.headers)) for response in responses]


@pytest.mark.parametrize("query", ["", "?logs=1", "?logs=0"])
async def test_a_status_is_the_same_on_either_way(service: Service, query: str) -> None:
    """Waiting, running and ended requests have the same responses, headers included."""
    ended, running, queued = [await service.submit() for _ in range(3)]
    await service.succeed(await service.claim())
    await service.claim()

    for request_id, status in ((ended, 200), (running, 202), (queued, 202)):
        with_slash = await service.client.get(f"{service.status_path(request_id)}/{query}")
        without = await service.client.get(f"{service.status_path(request_id)}{query}")

        assert status == without.status_code == with_slash.status_code
        assert with_slash.content == without.content
        assert with_slash.headers == without.headers


async def test_a_submit_is_the_same_on_either_way(service: Service) -> None:
    """Both ways queue the request, and respond with the same fields."""
    without, with_slash = await both(service, "POST", URL, json={"prompt": "a"})

    assert 200 == without[0] == with_slash[0]
    assert list(with_slash[1]) == list(without[1])
    assert with_slash[2].keys() == without[2].keys()
    assert 2 == await service.queued()


@pytest.mark.parametrize(
    ("method", "path", "request_", "status"),
    [
        ("GET", f"{URL}/requests/rn5r12q9pdu6yvb3nxty/status", {}, 404),
        ("GET", f"{URL}/requests/not-an-id/status", {}, 404),
        ("GET", "/fal/queue/no-such-app/requests/rn5r12q9pdu6yvb3nxty/status", {}, 404),
        ("GET", f"{URL}/requests/rn5r12q9pdu6yvb3nxty/status", {"headers": {"Authorization": "Bearer x"}}, 401),
        ("PUT", f"{URL}/requests/rn5r12q9pdu6yvb3nxty/status", {}, 405),
        ("GET", f"{URL}/requests//status", {}, 404),
        ("POST", URL, {"content": b"{"}, 400),
        ("POST", URL, {"content": b"x" * 1_100_000}, 413),
        ("POST", URL, {"json": {"heigth": 64}}, 422),
        ("POST", URL, {"headers": {"Authorization": "Bearer x"}, "json": {"prompt": "a"}}, 401),
        ("POST", "/fal/queue/no-such-app", {"json": {"prompt": "a"}}, 404),
        ("GET", URL, {}, 405),
    ],
)
async def test_a_refusal_is_the_same_on_either_way(
    service: Service, method: str, path: str, request_: dict[str, Any], status: int
) -> None:
    """Whatever is refused is refused in the same words."""
    without, with_slash = await both(service, method, path, **request_)

    assert status == without[0]
    assert with_slash == without


async def test_a_bug_is_an_error_like_any_other(service: Service, app: FastAPI, log_lines: list[Any]) -> None:
    """A crash is a 500 without an explanation, and an error in the log with the request's id."""
    request_id = await service.submit()
    service.clock.time = None  # type: ignore[assignment]

    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test") as client:
        response = await client.get(service.status_path(request_id), headers=service.client.headers)

    assert 500 == response.status_code
    assert "Internal Server Error" == json.loads(response.content)["detail"]
    assert [request_id] == [line["request_id"] for line in log_lines if line["event"] == "request.crashed"]


async def test_behind_a_prefix_the_urls_have_it(service: Service, app: FastAPI) -> None:
    """Where a server in front mounts the service under a prefix, both routes are found, and say so in their URLs."""
    transport = httpx2.ASGITransport(app, root_path="/images")
    headers = {"Authorization": f"Bearer {service.key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test", headers=headers) as client:
        submitted = await client.post(f"/images{URL}", json={"prompt": "a"})
        polled = await client.get(submitted.json()["status_url"])

    assert (200, 202) == (submitted.status_code, polled.status_code)
    assert submitted.json()["status_url"].startswith(f"http://pipelet.test/images{URL}/requests/")
