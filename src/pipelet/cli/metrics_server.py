"""The listener at PIPELET_METRICS_ADDRESS, in addition to that of the API."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any, cast

import structlog
import uvicorn
from starlette.applications import Starlette

from pipelet.domain.errors import Unusable
from pipelet.settings import Settings

log = structlog.get_logger()

_MAX_CONNECTIONS = 50


class _Server(uvicorn.Server):
    """Signals are not its business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen_for_metrics(chosen: Settings) -> socket.socket | None:
    """None where no address is set.

    Raises:
        Unusable: the address is taken, or is not one of this machine.
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
            reason = "is taken, perhaps by another Pipelet. Stop that, or choose another address."
        else:
            reason = f"cannot be listened on ({error.strerror}). Choose an address of this machine."
        raise Unusable(f"PIPELET_METRICS_ADDRESS {chosen.metrics_address} {reason}") from error
    return listener


async def serve_metrics(app: Starlette, listener: socket.socket) -> None:
    """Until cancelled."""
    config = uvicorn.Config(
        cast(Any, app),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    host, port = listener.getsockname()[:2]
    log.info("metrics.ready", url=f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics")
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving
