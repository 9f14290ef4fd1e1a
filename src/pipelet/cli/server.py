"""The HTTP server."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipelet.api.events import ABORT

_LAST_REQUESTS_SECONDS = 0.25
"""Of a server that stops: with its next answer, whoever kept a connection is told to close it. Found closed while the
next request is on its way, it could not be told from a lost answer. fal's clients ask ten times a second."""


class Server(uvicorn.Server):
    """uvicorn, as one part among others: signals are not its business, it tells when it answers, and when it ends."""

    def __init__(self, api: FastAPI, *, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                cast(Any, api),  # uvicorn's and Starlette's types of an application differ in name only
                http=cast(Any, partial(_Protocol, is_stopping=lambda: self.should_exit)),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,  # longer than proxies do, so that they never reuse one that we just closed
                timeout_graceful_shutdown=5,
            )
        )
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for _ in range(2):  # turns of the loop: whoever waits to be accepted is, and not thrown out with the listener
            await asyncio.sleep(0)
        for listening in self.servers:
            listening.close()  # now already: whoever is sent away and comes again must not come to us
        self._on_stop()
        if not self.force_exit:
            await asyncio.sleep(_LAST_REQUESTS_SECONDS)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(HttpToolsProtocol):
    """Lets the application break its connection off, for which ASGI has no word, and keeps none while we stop."""

    def __init__(self, *arguments: Any, is_stopping: Callable[[], bool], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._is_stopping = is_stopping

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"now": self.transport.abort}}

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.cycle is not None and self._is_stopping():
            self.cycle.keep_alive = False
