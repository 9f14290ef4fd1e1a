"""The HTTP server: its start and its shutdown."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn._types import ASGI3Application

from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.http_server.accept_loop import AcceptLoop
from pipelet.http_server.closing import Shared
from pipelet.http_server.connections import Connections
from pipelet.http_server.limits import Limits
from pipelet.http_server.protocol import Protocol
from pipelet.http_server.tls import TlsHandshakes
from pipelet.http_server.trusted_proxies import LOOPBACK, Network, TrustedProxies

_LAST_RESPONSES_SECONDS = 0.25
"""Time in which a stopping server asks clients, in its next response, to close kept connections. A client whose
request meets a closed connection could not know whether the response was lost. fal polls ten times a second."""


class Server(uvicorn.Server):
    """uvicorn without signal handling, and with callbacks when it is ready and when it stops."""

    def __init__(
        self,
        app: object,
        *,
        on_ready: Callable[[], None],
        on_stop: Callable[[], None],
        trusted_proxies: Sequence[Network] = LOOPBACK,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """
        Args:
            tls: for HTTPS; None for plain HTTP.
        """
        self._limits = limits = limits or Limits()
        self._log_throttle = LogThrottle()
        shared = Shared(
            limits=limits,
            connections=Connections(limits),
            proxies=TrustedProxies(trusted_proxies),
            log_throttle=self._log_throttle,
            is_stopping=lambda: self.should_exit,
        )
        self._handshakes = None if tls is None else TlsHandshakes(tls, shared)
        super().__init__(
            uvicorn.Config(
                cast(ASGI3Application, app),  # the application types of uvicorn and Starlette differ in name only
                http=cast(Any, partial(Protocol, shared=shared)),
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # it would read FORWARDED_ALLOW_IPS: `trusted_proxies` decides
                timeout_keep_alive=75,  # longer than proxies, so that they never reuse a connection that we just closed
                timeout_graceful_shutdown=5,
                reset_contextvars=True,  # or lines of one request carry the id of another on its connection
            )
        )
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # everything but listening
        accept = partial(AcceptLoop, log_throttle=self._log_throttle, pause_seconds=self._limits.accept_pause_seconds)
        self.servers = [cast(asyncio.Server, accept(each, self._connect)) for each in sockets or []]
        self._on_ready()

    async def _connect(self, connection: socket.socket, client: str) -> None:
        if self._handshakes is None:
            await asyncio.get_running_loop().connect_accepted_socket(self._new_protocol, connection)
        else:
            await self._handshakes.connect(self._new_protocol, connection, client)

    def _new_protocol(self) -> asyncio.Protocol:
        make = cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in self.servers:
            listening.close()  # now, so that clients that reconnect reach another server
        self._on_stop()
        if not self.force_exit:
            await asyncio.sleep(_LAST_RESPONSES_SECONDS)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
