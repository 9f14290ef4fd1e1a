"""The access log: which requests have a line, and what it says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from pipelet.api.middleware.access_log import AccessLogLevel
from tests.api.service import Service
from tests.support.jobs import APP

TARGET = "https://queue.fal.run/queue/"


@asynccontextmanager
async def logging(service: Service, level: AccessLogLevel) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(service.another_api(access_log=level), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {service.key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test", headers=headers) as client:
        yield client


def requests_in(lines: list[Any]) -> list[tuple[str, str, int]]:
    return [(line["method"], line["route"], line["status"]) for line in lines if line["event"] == "http.request"]


async def test_a_line_names_route_key_and_request(service: Service, log_lines: list[Any]) -> None:
    """A line has the route's template, the status, milliseconds, and the ids of the key and of the request."""
    request_id = await service.submit()
    async with logging(service, "requests") as client:
        await client.put(f"{service.result_path(request_id)}/cancel")
    [line] = [line for line in log_lines if line["event"] == "http.request"]

    assert ("PUT", "/fal/queue/{app}/requests/{request_id}/cancel") == (line["method"], line["route"])
    assert (202, await service.id_of(service.key), request_id) == (line["status"], line["key"], line["request_id"])
    assert line["ms"] >= 0


@pytest.mark.parametrize("level", ["off", "writes", "requests", "all"])
async def test_levels(service: Service, log_lines: list[Any], level: AccessLogLevel) -> None:
    """Polls of status, health and metrics have no line unless all requests do, also through the proxy."""
    result, app = "/fal/queue/{app}/requests/{request_id}", f"/fal/queue/{APP}"
    async with logging(service, level) as client:
        request_id = (await client.post(app, json={"prompt": "a"})).json()["request_id"]
        path = service.result_path(request_id)
        for poll in (f"{path}/status", f"{path}/status/", "/health/live", "/metrics"):
            await client.get(poll)
        await client.get(path)
        proxied = {"x-fal-target-url": f"{TARGET}{APP}/requests/{request_id}"}
        await client.get("/fal/proxy", headers=proxied)
        await client.get("/fal/proxy", headers={"x-fal-target-url": f"{proxied['x-fal-target-url']}/status"})

    writes, reads = [("POST", app, 200)], [("GET", result, 400)] * 2
    status = ("GET", f"{result}/status", 202)
    polls = [status, status, ("GET", "/health/live", 200), ("GET", "/metrics", 200)]
    expected = {"off": [], "writes": writes, "requests": writes + reads}
    if level == "all":
        assert [*writes, *polls, *reads, status] == requests_in(log_lines)
    else:
        assert expected[level] == requests_in(log_lines)


async def test_the_log_context_ends_with_its_request(service: Service, log_lines: list[Any]) -> None:
    """A line never has the id of an earlier request, and an unknown path is named as it was sent."""
    async with logging(service, "requests") as client:
        await client.post(f"/fal/queue/{APP}", json={"prompt": "a"})
        await client.get("/nothing")

    assert ("http.request", "/nothing", 404, None) == tuple(
        log_lines[-1].get(name) for name in ("event", "route", "status", "request_id")
    )
