"""TCP servers for tests: in the event loop of the test, or in a thread next to a test that waits in its own thread."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

import trustme
from anyio.from_thread import start_blocking_portal

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Handles one connection, which is closed after it."""
T = TypeVar("T")
NO_AUTHORITY = Path(__file__).with_name("no_authority.pem")
"""The certificate of an authority whose key was thrown away: what trusts it alone trusts no server."""


@contextlib.asynccontextmanager
async def listening(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port, on this machine alone. Connections that are open at the end are broken off."""
    connections: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Other sides come and go as they like.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            await handler(reader, writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(handle(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


@contextlib.contextmanager
def in_background(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """It runs in an event loop and a thread of its own until the end of the `with` block."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server) as running:
        yield running


def tls_context(trusted: Path, *names: str) -> ssl.SSLContext:
    """End TLS under these names, for clients that trust the authority that is written into the file `trusted`."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    authority.cert_pem.write_to_path(trusted)
    return context
