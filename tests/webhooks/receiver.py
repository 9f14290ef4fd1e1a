"""Receivers of webhooks: real servers that keep what they get, and answer as a test wants."""

import asyncio
import base64
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def verify(jwks: Mapping[str, Any], headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> bool:
    """As fal's own example in Python does it, down to the strict decoding of `x`, with another library for Ed25519."""
    request_id = headers["x-fal-webhook-request-id"]
    user_id = headers["x-fal-webhook-user-id"]
    timestamp = headers["x-fal-webhook-timestamp"]
    try:
        if abs(int(time.time() if now is None else now) - int(timestamp)) > 300:
            return False
        signature = bytes.fromhex(headers["x-fal-webhook-signature"])
    except ValueError:
        return False
    message = "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()]).encode("utf-8")
    for key in jwks["keys"]:
        try:
            public_key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"]))
            public_key.verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


@dataclass
class Call:
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


@dataclass
class Receiver:
    """What it answers may be changed at any time."""

    port: int
    answer: Answer
    calls: asyncio.Queue[Call] = field(default_factory=asyncio.Queue)
    open: int = 0
    most_open: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def next_call(self) -> Call:
        return await asyncio.wait_for(self.calls.get(), 20)


def status(code: int, *headers: str) -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {code} So", "Content-Length: 0", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())

    return answer


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Says nothing until the caller goes."""
    await reader.read()


async def close_early(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """In the middle of its first line."""
    writer.write(b"HTTP/1.1 2")


async def never_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Acknowledges, and sends a body until the caller goes."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Headers without end, a little at a time, so that no single wait is long."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000):
        writer.write(f"X-{number}: y\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def receiving(answer: Answer | None = None) -> AsyncIterator[Receiver]:
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        receiver.open += 1
        receiver.most_open = max(receiver.most_open, receiver.open)
        try:
            receiver.calls.put_nowait(await _read(reader))
            await receiver.answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            receiver.open -= 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver = Receiver(server.sockets[0].getsockname()[1], answer or status(200))
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    assert head[0] == "POST /hook HTTP/1.1"
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return Call(headers, await reader.readexactly(int(headers["content-length"])))
