"""What may stand between a client and a server: a TCP proxy that ends TLS, and that can be told to misbehave."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator

from tests.support.servers.tcp import listening

POSTGRESQL_ASKS = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""How PostgreSQL's clients ask for TLS, before anything else."""


class Proxy:
    """Forwards from `port` to `to_port`. It speaks no HTTP: it looks at how what clients send begins.

    Attributes:
        flowing: while it is cleared nothing is forwarded, and no connection closed: both sides look well.
        hold_at: once a client sends this, `flowing` is cleared before it is forwarded, and `held` is set.
        cuts_left: so many replies to POSTs are read from the server to their first bytes, then thrown away, and the
            client's connection is reset: the server has taken the request, and its client never learns that.
        cut: how many that has happened to.
    """

    port: int

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.hold_at: bytes | None = None
        self.held = asyncio.Event()
        self.cuts_left = 0
        self.cut = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what both sides send until either ends."""
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        with contextlib.closing(server_writer):
            asked = asyncio.Event()
            there = asyncio.create_task(self._ask(reader, server_writer, asked))
            back = asyncio.create_task(self._response(server_reader, writer, asked))
            try:
                await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (there, back):
                    task.cancel()
                await asyncio.gather(there, back, return_exceptions=True)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if self.hold_at is not None and self.hold_at in data:
                self.flowing.clear()
                self.held.set()
            if data.startswith(b"POST "):
                asked.set()
            await self._forward(data, writer)

    async def _response(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if asked.is_set() and self.cuts_left:
                self.cuts_left -= 1
                self.cut += 1
                _reset(writer)
                return
            asked.clear()
            await self._forward(data, writer)

    async def _forward(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        await self.flowing.wait()
        writer.write(data)
        await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    # Closed with a timeout of zero, a connection is reset, not ended in order.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def proxy_to(port: int = 0, *, tls: ssl.SSLContext | None = None, tls_asked: bytes = b"") -> AsyncIterator[Proxy]:
    """
    Args:
        port: may be told later, as `to_port`.
        tls: to end TLS with; the server is spoken to without.
        tls_asked: what clients ask for TLS with, where they do not begin with it.
    """
    proxy = Proxy(port)

    async def asked_for_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert tls is not None
        assert tls_asked == await reader.readexactly(len(tls_asked))
        writer.write(b"S")
        await writer.start_tls(tls)
        await proxy.connect(reader, writer)

    handler, from_the_start = (asked_for_tls, None) if tls_asked else (proxy.connect, tls)
    async with listening(handler, tls=from_the_start) as proxy.port:
        yield proxy
