"""A status that is asked for with `wait`: it comes when the request has ended."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from pipelet.api.app import close_streams
from tests.api.service import Service
from tests.api.streams import PATIENCE, serving
from tests.support.waiting import until


@pytest.fixture
async def client(service: Service, url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Of a real server."""
    headers = {"Authorization": f"Bearer {service.key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE) as client:
        yield client


async def call_waits(app: FastAPI) -> None:
    """Return once the service holds a connection."""
    await until(lambda: app.state.dependencies.connection_limiter._all)


@pytest.mark.parametrize("how", ["query", "header"])
async def test_it_responds_at_the_end(service: Service, client: httpx2.AsyncClient, how: str) -> None:
    """Whichever way it is asked for: with the final status, and a word that it has waited."""
    request_id = await service.submit()
    lease = await service.claim()
    path = service.status_path(request_id)
    query, headers = ("?wait=30", None) if how == "query" else ("", {"Prefer": "respond-async, wait=30"})
    call = asyncio.create_task(client.get(path + query, headers=headers))
    await call_waits(service.app)
    await service.succeed(lease)

    response = await call
    assert (200, "COMPLETED") == (response.status_code, response.json()["status"])
    assert "wait=30" == response.headers["Preference-Applied"]


async def test_it_responds_when_the_time_is_over(service: Service) -> None:
    """With the status as it is then; the next poll waits again."""
    request_id = await service.submit()

    response = await service.client.get(f"{service.status_path(request_id)}?wait=1")
    assert (202, "IN_QUEUE") == (response.status_code, response.json()["status"])


async def test_it_responds_when_the_service_stops(service: Service, client: httpx2.AsyncClient) -> None:
    """At once, so that no stop waits for a minute."""
    request_id = await service.submit()
    call = asyncio.create_task(client.get(f"{service.status_path(request_id)}?wait=60"))
    await call_waits(service.app)
    close_streams(service.app)

    assert 202 == (await call).status_code


async def test_what_does_not_wait(service: Service) -> None:
    """HEAD, an ended request, another preference; what is no number from 1 to 60 is refused by its name."""
    ended = await service.submit()
    await service.succeed(await service.claim())
    path = service.status_path(await service.submit())

    assert 202 == (await service.client.head(f"{path}?wait=60")).status_code
    assert 200 == (await service.client.get(f"{service.status_path(ended)}?wait=60")).status_code
    assert 202 == (await service.client.get(path, headers={"Prefer": "return=minimal"})).status_code
    for text in ("61", "0", "-1", "1.5", "", "x", "9" * 30):
        refused = await service.client.get(f"{path}?wait={text}")
        assert (422, ["query", "wait"]) == (refused.status_code, refused.json()["detail"][0]["loc"])
    refused = await service.client.get(path, headers={"Prefer": "wait=100"})
    assert ["header", "Prefer"] == refused.json()["detail"][0]["loc"]


async def test_a_wait_counts_as_an_open_stream(service: Service, app: FastAPI) -> None:
    """A user has half of the room of a process; more are refused with what to do, and polls without it are not."""
    path = service.status_path(await service.submit())
    headers = {"Authorization": f"Bearer {service.key}"}
    small = service.another_api(max_open_streams=2)
    async with (
        serving(small) as (url, _),
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE) as client,
    ):
        call = asyncio.create_task(client.get(f"{path}?wait=60"))
        await call_waits(small)
        refused = await client.get(f"{path}?wait=60")
        assert (429, True) == (refused.status_code, "Poll" in refused.json()["message"])
        assert 202 == (await client.get(path)).status_code
        close_streams(small)
        assert 202 == (await call).status_code
