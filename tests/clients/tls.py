"""TLS in front of the service, as a load balancer would end it."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import trustme


def context_for(trusted: Path) -> ssl.SSLContext:
    """To end TLS with, for whoever trusts the authority that is written into the file `trusted`."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    authority.cert_pem.write_to_path(trusted)
    return context


class Gate:
    """Ends TLS on `port`, for whoever trusts the authority in the file `trusted`; forwards to the port `forward_to`."""

    forward_to: int

    def __init__(self, listener: socket.socket, folder: Path) -> None:
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self.trusted = folder / "authority.pem"
        self._context = context_for(self.trusted)

    def accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(accepted,), daemon=True).start()

    def _forward(self, accepted: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(accepted, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", self.forward_to)) as inner,
        ):
            back = threading.Thread(target=_copy, args=(inner, outer), daemon=True)
            back.start()
            _copy(outer, inner)
            back.join()


@contextlib.contextmanager
def tls_in_front(folder: Path) -> Iterator[Gate]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gate = Gate(listener, folder)
        threading.Thread(target=gate.accept, daemon=True).start()
        yield gate
        listener.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):  # also where the source was reset: or the other side would wait for ever
        target.shutdown(socket.SHUT_WR)
