"""An API behind a real server, and clients that listen to its streams."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
from fastapi import FastAPI

from pipelet.api.app import close_streams
from pipelet.http_server.server import Server
from tests.api.service import Service

PATIENCE = 10.0


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[tuple[str, Server]]:
    ready = asyncio.Event()
    server = Server(app, on_ready=ready.set, on_stop=lambda: close_streams(app))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await ready.wait()
        try:
            yield url, server
        finally:
            server.should_exit = True
            await running


@dataclass
class Event:
    id: str
    body: dict[str, Any]

    @property
    def said(self) -> tuple[str, int, str]:
        return self.body["status"], self.body["queue_position"], self.body["statusMessages"]["message"]


class Stream:
    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self, within: float = PATIENCE) -> Event:
        """The next event; comments are passed over."""
        async with asyncio.timeout(within):
            fields: dict[str, str] = {}
            async for line in self._lines:
                assert line.isascii()
                name, _, value = line.partition(": ")
                fields[name] = value
                if not line and "data" in fields:
                    return Event(fields["id"], json.loads(fields["data"]))
        raise EOFError

    async def comment(self) -> str:
        async with asyncio.timeout(PATIENCE):
            return await anext(line async for line in self._lines if line.startswith(":"))

    async def rest(self) -> list[Event]:
        found = []
        with contextlib.suppress(EOFError):
            while True:
                found.append(await self.next())
        return found


@contextlib.asynccontextmanager
async def streaming(
    service: Service, url: str, request_id: str, query: str = "", **headers: str
) -> AsyncIterator[Stream]:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Authorization": f"Bearer {service.key}"} | headers
    async with (
        httpx2.AsyncClient(timeout=PATIENCE) as client,
        client.stream("GET", f"{url}{service.status_path(request_id)}/stream{query}", headers=headers) as response,
    ):
        yield Stream(response)
