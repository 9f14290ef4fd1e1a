"""A web server that responds as a test wants: well, badly, or forever."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Self

from tests.support.servers.tcp import listening

Response = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Responds to a request that was read to its end. The connection is closed after it."""


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    """The path and the query."""
    headers: dict[str, str]
    """Headers by their names in small letters."""
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class WebServer(AbstractAsyncContextManager["WebServer"]):
    """
    Args:
        choose: the response to a request.
        tls: to end TLS with.

    Attributes:
        requests: all that came so far.
        open: how many connections are.
        most_open: at the same time.
        idle: set while no connection is open.
    """

    port: int

    def __init__(self, choose: Callable[[Request], Response], *, tls: ssl.SSLContext | None = None) -> None:
        self._choose = choose
        self._tls = tls
        self._exits = contextlib.AsyncExitStack()
        self.requests: list[Request] = []
        self.open = 0
        self.most_open = 0
        self.idle = asyncio.Event()
        self.idle.set()

    async def __aenter__(self) -> Self:
        self.port = await self._exits.enter_async_context(listening(self._serve, tls=self._tls))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.idle.clear()
        try:
            request = await _read(reader)
            self.requests.append(request)
            await self._choose(request)(reader, writer)
            await writer.drain()
        finally:
            self.open -= 1
            if self.open == 0:
                self.idle.set()


async def _read(reader: asyncio.StreamReader) -> Request:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Request(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))


# -- responses ---------------------------------------------------------------------------------------------------------


def head(status: str = "200 OK", **headers: object) -> bytes:
    """Says that the connection ends with the response."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in ({"Connection": "close"} | headers).items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines]).encode() + b"\r\n\r\n"


def saying(*parts: bytes) -> Response:
    """These bytes, whatever they are."""

    async def response(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)

    return response


def whole(body: bytes, status: str = "200 OK", **headers: object) -> Response:
    """Return a response as a server in good order gives it."""
    return saying(head(status, Content_Length=len(body), **headers), body)


def slowly(first: bytes, parts: Iterable[bytes], *, pause: float) -> Response:
    """Return a response that waits `pause` seconds after each of `parts`."""

    async def response(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return response


def without_end(first: bytes, part: bytes) -> Response:
    """One `part` after the other, until the caller goes."""

    async def response(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(part)
            await writer.drain()

    return response


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing until the caller goes."""
    await reader.read()
