"""A small application behind the real server, and clients that speak raw bytes."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send

from pipelet.http_server.limits import Limits
from pipelet.http_server.server import Server
from tests.support.waiting import until

HOST = b"Host: a.example\r\n"
LARGE = 32 * 2**20


class Echo:
    """Echoes what it receives.

    `/early` gets a response before the body is read, `/large` with 32 MiB, `/wait` once `go` is set, `/listen` never.

    Attributes:
        begun: paths of the requests that it was called for.
        contexts: what the log context held when it was called, which then gets the path.
        left: how many it was told are gone.
        ended: how many it has ended, however.
    """

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun: list[str] = []
        self.contexts: list[dict[str, Any]] = []
        self.left = 0
        self.ended = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.begun.append(scope["path"])
        self.contexts.append(structlog.contextvars.get_contextvars())
        structlog.contextvars.bind_contextvars(path=scope["path"])
        try:
            await self._response(scope, receive, send)
        finally:
            self.ended += 1

    async def _response(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"]:
            case "/early":
                await _send(send, 401, b"refused")
                return
            case "/large":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                for _ in range(LARGE // 2**16):
                    await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                return
            case "/wait":
                await self.go.wait()
            case "/listen":
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.left += 1
                return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            body, more = body + message["body"], message["more_body"]
        headers = [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]]
        seen = {"path": scope["path"], "body": body.decode("latin-1"), "headers": headers}
        seen |= {"client": scope["client"][0], "scheme": scope["scheme"], "method": scope["method"]}
        await _send(send, 200, json.dumps(seen).encode())


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Connection:
    """Of a client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a packet of its own."""
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0.02)
            self._writer.write(piece)
            await self._writer.drain()

    async def response(self) -> Response:
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            return Response(
                int(first.split()[1]), headers, await self._reader.readexactly(int(headers.get("content-length", 0)))
            )

    async def rest(self, pause: float) -> int:
        """How many bytes come until the end, read with a few pauses."""
        size, next_pause = 0, 0
        while piece := await self._reader.read(2**20):
            size += len(piece)
            if size > next_pause:
                next_pause += LARGE // 4
                await asyncio.sleep(pause)
        return size

    async def is_closed(self, within: float = 5.0) -> bool:
        """Whether the server ends the connection in time, without another byte."""
        try:
            async with asyncio.timeout(within):
                return await self._reader.read(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def end(self) -> None:
        """No more is sent; responses are still read."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Break off, without an orderly end."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


@dataclass
class Running:
    app: Echo
    server: Server
    port: int

    @contextlib.asynccontextmanager
    async def connected(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        connection = Connection(reader, writer)
        try:
            yield connection
        finally:
            connection.close()

    async def ask(self, *pieces: bytes) -> Response:
        """The first response on a connection of its own."""
        async with self.connected() as connection:
            await connection.send(*pieces)
            return await connection.response()

    async def until_idle(self) -> None:
        """No connection is left."""
        await until(lambda: not self.server.server_state.connections)


@contextlib.asynccontextmanager
async def running(
    *, trusted_proxies: Any = None, tls: ssl.SSLContext | None = None, **limits: Any
) -> AsyncIterator[Running]:
    """`limits` are those that differ from the server's own."""
    app, ready = Echo(), asyncio.Event()
    more = {} if trusted_proxies is None else {"trusted_proxies": trusted_proxies}
    server = Server(app, on_ready=ready.set, on_stop=lambda: None, limits=Limits(**limits), tls=tls, **more)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await ready.wait()
        try:
            yield Running(app, server, port)
        finally:
            app.go.set()
            server.force_exit = True  # no test waits for those of another
            server.should_exit = True
            await serving
