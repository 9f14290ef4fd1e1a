"""Listeners to the streams of `/api/v1`."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx2

PATIENCE = 10.0


class Event(NamedTuple):
    name: str
    id: str
    body: dict[str, Any]


class EventReader:
    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> Event:
        """Return the next event; comments are passed over. Raises EOFError at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                fields[name] = value
                if not line and "data" in fields:
                    return Event(fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"]))
        raise EOFError

    async def until(self, name: str, **expected: Any) -> Event:
        """Return the first event of this name with these fields."""
        while True:
            event = await self.next()
            if event.name == name and expected.items() <= event.body.items():
                return event

    async def end(self) -> None:
        """Read to the end of the stream."""
        with contextlib.suppress(EOFError):
            while True:
                await self.next()


@contextlib.asynccontextmanager
async def listening(url: str, key: str, **headers: str) -> AsyncIterator[EventReader]:
    headers = {name.replace("_", "-"): value for name, value in headers.items()} | {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(timeout=PATIENCE) as client, client.stream("GET", url, headers=headers) as response:
        yield EventReader(response)
