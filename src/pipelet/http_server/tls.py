"""TLS: bounded handshakes, and what tells TLS and plain HTTP apart on a port for the other."""

import asyncio
import socket
import ssl
from collections.abc import Callable

import structlog

from pipelet.http_server.closing import Shared
from pipelet.http_server.connections import CappedCounter
from pipelet.http_server.trusted_proxies import normalized

log = structlog.get_logger()

_HANDSHAKE, _ALERT = 22, 21
"""Types of TLS records. https://www.rfc-editor.org/rfc/rfc8446#section-5.1"""
_FATAL, _HANDSHAKE_FAILURE = 2, 40

ALERT = bytes([_ALERT, 3, 1, 0, 2, _FATAL, _HANDSHAKE_FAILURE])
"""Tells a TLS client that its handshake has failed. It would try to read anything else as TLS."""


def is_client_hello(data: bytes) -> bool:
    """Return whether a connection that begins with `data` is TLS. No HTTP method begins like that."""
    return data[0] == _HANDSHAKE and data[1:2] in (b"", b"\x03")


class TlsHandshakes:
    """Makes TLS connections of TCP connections.

    A protocol starts after the handshake, and bounds its connection from then on. Before that, this does.

    Args:
        context: of the server. A certificate that is loaded into it later serves later handshakes.
    """

    def __init__(self, context: ssl.SSLContext, shared: Shared) -> None:
        self._context = context
        self._shared = shared
        self._handshakes = CappedCounter(min(shared.limits.tls_handshakes, shared.connections.open.max))

    async def connect(
        self, make_protocol: Callable[[], asyncio.Protocol], connection: socket.socket, client: str
    ) -> None:
        """Give the connection to a new protocol after the handshake, or close it.

        Raises:
            OSError: the client has disconnected, did not end its handshake in time, or does not accept ours.
        """
        address, limits = normalized(client), self._shared.limits
        if not self._handshakes.add(address, is_proxy=address in self._shared.proxies):
            connection.close()
            self._warn("http.handshakes_exhausted", f"{address} has too many unfinished TLS handshakes.")
            return
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                make_protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=limits.tls_handshake_seconds,
                ssl_shutdown_timeout=limits.tls_shutdown_seconds,
            )
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._warn("http.plain_refused", f"{address} speaks plain HTTP to a port for TLS. Use https://.")
            raise
        finally:
            self._handshakes.remove(address)

    def _warn(self, event: str, reason: str) -> None:
        self._shared.log_throttle.write(log.warning, event, reason=reason)
