"""The sockets that the service listens on."""

import errno
import socket

from pipelet.domain.errors import OperationalError
from pipelet.settings import Settings
from pipelet.settings.addresses import host_and_port


def listen(host: str, port: int, *, backlog: int) -> socket.socket:
    """
    Raises:
        OSError: the address is taken, or does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol, asyncio leaves Nagle's algorithm on, and kept-alive responses wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def listen_for_api(chosen: Settings) -> socket.socket:
    """Bind the port before anything else starts: a second service on this port stops here and changes nothing.

    Raises:
        OperationalError: the address cannot be used; the message says what to change.
    """
    try:
        return listen(chosen.host, chosen.port, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = chosen.port + 1 if chosen.port < 65_535 else 8000
            taken = f"Port {chosen.port} is taken, perhaps by another Pipelet."
            reason = f"{taken} Stop it, or choose another port: --port {other}."
        else:
            reason = f"Listening on {chosen.host}:{chosen.port} failed: {error.strerror}. Choose --host and --port."
        raise OperationalError(reason) from error


def listen_for_metrics(chosen: Settings) -> socket.socket | None:
    """Bind the address of the metrics; return None if none is set.

    Raises:
        OperationalError: the address is taken, or does not belong to this machine.
    """
    address = host_and_port(chosen.metrics_address or "")
    try:
        return None if address is None else listen(*address, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "is taken, perhaps by another Pipelet. Stop it, or choose another address."
        else:
            reason = f"is not usable ({error.strerror}). Choose an address of this machine."
        raise OperationalError(f"PIPELET_METRICS_ADDRESS {chosen.metrics_address} {reason}") from error
