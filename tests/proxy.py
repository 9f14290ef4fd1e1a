"""What may stand between us and a server: a proxy that can be told to misbehave."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

_TLS_WANTED = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""How PostgreSQL's clients ask for TLS, before anything else."""


class Proxy:
    """Forwards to `to_port`, in the event loop of the test.

    Attributes:
        flowing: while it is cleared nothing is forwarded, and no connection closed: both sides look well.
        hold_at: once a client sends this, `flowing` is cleared before it is forwarded.
    """

    port: int

    def __init__(self, to_port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._to_port = to_port
        self._tls = tls
        self.hold_at: bytes | None = None
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.held = asyncio.Event()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            if self._tls is not None:
                assert _TLS_WANTED == await reader.readexactly(len(_TLS_WANTED))
                writer.write(b"S")
                await writer.start_tls(self._tls)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
            with contextlib.closing(server_writer):
                there = asyncio.create_task(self._forward(reader, server_writer))
                back = asyncio.create_task(self._forward(server_reader, writer))
                await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
                for task in (there, back):
                    task.cancel()
                await asyncio.gather(there, back, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.hold_at is not None and self.hold_at in data:
                self.flowing.clear()
                self.held.set()
            await self.flowing.wait()
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def proxy_to(port: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    proxy = Proxy(port, tls=tls)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.accept(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
