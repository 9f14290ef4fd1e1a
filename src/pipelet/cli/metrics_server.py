"""The server at PIPELET_METRICS_ADDRESS, next to that of the API."""

import asyncio
import errno
import socket

import structlog
from starlette.applications import Starlette

from pipelet.domain.errors import OperationalError
from pipelet.http_server.limits import Limits
from pipelet.http_server.server import Server
from pipelet.settings import Settings

log = structlog.get_logger()

_MAX_CONNECTIONS = 50


def listen_for_metrics(chosen: Settings) -> socket.socket | None:
    """Bind the address of the metrics; return None if none is set.

    Raises:
        OperationalError: the address is taken, or does not belong to this machine.
    """
    if chosen.metrics_host_and_port is None:
        return None
    host, port = chosen.metrics_host_and_port
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            reason = "is taken, perhaps by another Pipelet. Stop it, or choose another address."
        else:
            reason = f"is not usable ({error.strerror}). Choose an address of this machine."
        raise OperationalError(f"PIPELET_METRICS_ADDRESS {chosen.metrics_address} {reason}") from error
    return listener


async def serve_metrics(app: Starlette, listener: socket.socket) -> None:
    """Serve the metrics until cancelled."""
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
    server = Server(
        app,
        on_ready=lambda: log.info("metrics.ready", url=url),
        on_stop=lambda: None,
        limits=Limits(max_connections=_MAX_CONNECTIONS),
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving
