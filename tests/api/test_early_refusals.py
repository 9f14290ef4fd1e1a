"""Responses that come before their body was read reach the client, also where the connection is closed after them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from fastapi import FastAPI

from pipelet.api.body import BodyReader
from pipelet.domain.accounts.api_keys import new_secret
from tests.api.service import Service
from tests.api.streams import serving
from tests.support.jobs import APP, EDIT

SIZE = 12_000_000
"""Bytes; more than the buffers of two sockets hold."""


@pytest.fixture
async def port(app: FastAPI, service: Service) -> AsyncIterator[int]:
    bodies = BodyReader(memory_timeout=0.05, large_bytes=2 * SIZE, per_user=2 * SIZE)
    service.app.state.dependencies = replace(service.app.state.dependencies, bodies=bodies)
    async with serving(app) as (url, _):
        yield int(url.rpartition(":")[2])


def post(port: int, path: str, key: str, body: bytes, version: str) -> tuple[int, bytes]:
    """Status and body of the response, for a client that sends everything before it reads anything."""
    head = (
        f"POST {path} HTTP/{version}\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head.encode() + body)
        response = b""
        while piece := client.recv(2**16):
            response += piece
    head_sent, _, content = response.partition(b"\r\n\r\n")
    assert f"content-length: {len(content)}".encode() in head_sent
    return int(head_sent.split()[1]), content


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_refused_before_the_body_is_read(port: int, service: Service, version: str) -> None:
    """The whole response is there for bodies of megabytes, in the two versions that nginx speaks to what is behind
    it."""
    submit, run, edit = f"/fal/queue/{APP}", f"/fal/run/{APP}", f"/fal/queue/{EDIT}"
    large = b'{"prompt": "' + b"a" * SIZE + b'"}'
    cases = [
        (401, submit, new_secret(), large),
        (404, "/fal/queue/no-such-app", service.key, large),
        (404, "/nothing", service.key, large),
        (405, "/health/live", service.key, large),
        (413, submit, service.key, large),
        (422, edit, service.key, large),
        (429, run, service.key, large),
        (503, edit, await service.new_key("eve"), large),
    ]
    service.app.state.dependencies.connection_limiter._most_per_user = 1
    async with AsyncExitStack() as stack:
        stack.enter_context(service.app.state.dependencies.connection_limiter.hold("ada"))
        for status, path, key, body in cases:
            if status == 503:  # all the room for large bodies is taken
                await stack.enter_async_context(service.app.state.dependencies.bodies._large.acquire("ada", 2 * SIZE))
            found, content = await asyncio.to_thread(post, port, path, key, body, version)
            assert (path, status) == (path, found)
            assert json.loads(content)["message"]
