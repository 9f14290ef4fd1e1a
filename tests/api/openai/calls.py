"""Calls of OpenAI's API that tests share."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx2

from pipelet.domain.jobs.job import Job
from tests.api.service import Service
from tests.support.jobs import APP, EDIT, claim_request
from tests.support.waiting import until

GENERATIONS, EDITS, MODELS = "/v1/images/generations", "/v1/images/edits", "/v1/models"
PROMPT = {"prompt": "a red apple"}


async def called(
    service: Service, body: dict[str, Any] | None = None, path: str = GENERATIONS, **more: Any
) -> "asyncio.Task[httpx2.Response]":
    """A call whose request is in the queue."""
    call = asyncio.create_task(service.client.post(path, **({"json": PROMPT | (body or {})} | more)))
    queued = asyncio.create_task(until(service.queued))
    await asyncio.wait([call, queued], return_when=asyncio.FIRST_COMPLETED)
    if call.done():
        queued.cancel()
        raise AssertionError(call.result().text)
    await queued
    return call


async def answered(service: Service, body: dict[str, Any] | None = None, **more: Any) -> httpx2.Response:
    """The response of a call whose request succeeds."""
    call = await called(service, body, **more)
    lease = await service.store.leases.claim(claim_request(APP, EDIT, now=service.clock.now(), seconds=60))
    assert lease is not None
    await service.succeed(lease)
    response = await call
    assert 200 == response.status_code, response.text
    return response


async def job_of(service: Service, response: httpx2.Response) -> Job:
    job = await service.store.jobs.get(response.headers["x-request-id"])
    assert job is not None
    return job


def error_of(response: httpx2.Response) -> dict[str, Any]:
    """The error in the envelope, which has all of its fields."""
    error = dict(response.json()["error"])
    assert {"message", "type", "param", "code"} == error.keys()
    assert response.headers["x-should-retry"] in ("true", "false")
    return error


def files_in(response: httpx2.Response) -> list[bytes]:
    return [base64.b64decode(each["b64_json"], validate=True) for each in response.json()["data"]]


class Event(NamedTuple):
    name: str
    body: dict[str, Any]


class Events:
    """Events of a stream; comments are counted."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.comments = 0
        self._lines = response.aiter_lines()

    async def next(self) -> Event:
        """Raises EOFError at the end of the stream."""
        name = ""
        async with asyncio.timeout(10):
            async for line in self._lines:
                self.comments += line.startswith(":")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    body = json.loads(line[6:])
                    assert name == body["type"]
                    return Event(name, body)
        raise EOFError

    async def rest(self) -> list[Event]:
        found = []
        with contextlib.suppress(EOFError):
            while True:
                found.append(await self.next())
        return found


@contextlib.asynccontextmanager
async def streaming(service: Service, url: str, path: str = GENERATIONS, **body: Any) -> AsyncIterator[Events]:
    headers = {"Authorization": f"Bearer {service.key}"}
    async with (
        httpx2.AsyncClient(timeout=10) as client,
        client.stream("POST", f"{url}{path}", json=PROMPT | {"stream": True, **body}, headers=headers) as response,
    ):
        yield Events(response)
