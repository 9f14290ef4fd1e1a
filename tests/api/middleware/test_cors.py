"""What browsers ask before a page of another origin may call."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from pipelet.blobs.disk import DiskBlobStore
from pipelet.store.sqlite import SqliteStore
from tests.api.service import Service, build
from tests.support.jobs import APP, FakeClock

PAGE = {"Origin": "https://page.example.com"}
URL = f"/fal/queue/{APP}"


@pytest.fixture
def client_of(store: SqliteStore, blobs: DiskBlobStore, clock: FakeClock) -> Callable[[str], httpx2.AsyncClient]:
    """A client without a key, of a service whose operator allows these origins."""

    def open_client(*origins: str) -> httpx2.AsyncClient:
        app = build(store, blobs, clock, allowed_origins=origins)
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://pipelet.test")

    return open_client


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_a_browser_may_send_what_fals_client_sends(service: Service, method: str) -> None:
    """Every header and method of fal's client is allowed beforehand, without a key, and the response can be kept."""
    asked = "authorization,content-type,idempotency-key,x-fal-queue-priority,x-fal-target-url"
    asks = PAGE | {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": asked}
    del service.client.headers["Authorization"]

    for path in (URL, f"{URL}/requests/rn5r12q9pdu6yvb3nxty/status", "/fal/proxy", f"/fal/run/{APP}"):
        response = await service.client.options(path, headers=asks)

        assert 200 == response.status_code
        assert "*" == response.headers["access-control-allow-origin"]
        assert method in response.headers["access-control-allow-methods"]
        assert set(asked.split(",")) <= set(response.headers["access-control-allow-headers"].split(","))
        assert "access-control-allow-credentials" not in response.headers
        assert int(response.headers["access-control-max-age"]) > 600


async def test_a_page_reads_responses_and_refusals(service: Service) -> None:
    """The busy routes, errors and files alike let the page read them, with the headers that fal's client looks at."""
    request_id = await service.submit()
    await service.succeed(await service.claim())
    result = await service.client.get(service.result_path(request_id), headers=PAGE)
    responses = [
        result,
        await service.client.post(URL, json={"prompt": "a"}, headers=PAGE),
        await service.client.get(service.status_path(request_id), headers=PAGE),
        await service.client.get(f"{URL}/requests/rn5r12q9pdu6yvb3nxty/status", headers=PAGE),
        await service.client.post("/fal/proxy", headers=PAGE),
        await service.client.get(result.json()["images"][0]["url"], headers=PAGE),
    ]

    for response in responses:
        assert "*" == response.headers["access-control-allow-origin"]
        assert {"x-fal-request-id", "x-fal-error-type", "x-fal-request-timeout-type", "retry-after"} <= set(
            response.headers["access-control-expose-headers"].split(", ")
        )


async def test_a_page_reads_that_the_service_is_at_fault(
    service: Service, app: FastAPI, tmp_path: Path, log_lines: list[Any]
) -> None:
    """A crash, such as one by a damaged row, is a 500 that the page can read, and one line in the log."""
    request_id = await service.submit()
    with contextlib.closing(sqlite3.connect(tmp_path / "pipelet.db")) as database, database:
        database.execute("UPDATE job SET spec = 'damaged'")
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test") as client:
        headers = {"Authorization": f"Bearer {service.key}"}
        for path in (service.status_path(request_id), service.result_path(request_id)):
            theirs = await client.get(path, headers=headers | PAGE)
            ours = await client.get(path, headers=headers)

            assert [(500, "internal_server_error")] * 2 == [
                (response.status_code, response.json()["error_type"]) for response in (theirs, ours)
            ]
            assert "*" == theirs.headers["access-control-allow-origin"]
            assert "access-control-allow-origin" not in ours.headers
    assert 4 == [line["event"] for line in log_lines].count("request.crashed")


async def test_what_needs_no_key_is_not_for_other_pages(service: Service) -> None:
    """A web page in a browser on the operator's machine cannot read metrics and health."""
    for path in ("/metrics", "/health/ready", "/"):
        assert "access-control-allow-origin" not in (await service.client.get(path, headers=PAGE)).headers


async def test_an_operator_says_which_pages_may(client_of: Callable[..., httpx2.AsyncClient]) -> None:
    """Named origins may, others may not, and no name is allowed by another that begins like it."""
    async with client_of("https://page.example.com") as client:
        mine = await client.get(f"{URL}/requests/x/status", headers=PAGE)
        for other in ("https://evil.example.com", "https://page.example.com.evil.com", "null"):
            theirs = await client.get(f"{URL}/requests/x/status", headers={"Origin": other})
            assert "access-control-allow-origin" not in theirs.headers

    assert "https://page.example.com" == mine.headers["access-control-allow-origin"]
    assert "Origin" in mine.headers["vary"]


async def test_an_operator_may_allow_none(client_of: Callable[..., httpx2.AsyncClient]) -> None:
    """Without any origin no page may call."""
    async with client_of() as client:
        response = await client.get(f"{URL}/requests/x/status", headers=PAGE)

    assert "access-control-allow-origin" not in response.headers
