"""A TCP proxy that cuts replies: the server has read and answered the request, and its client never hears of it."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator


class CuttingProxy:
    """Forwards from `port` to the port `forward_to`, ending TLS where it has a context for that. It speaks no HTTP: it
    looks for POSTs at the beginning of what clients send.

    Attributes:
        cuts_left: So many replies to POSTs are read from the server to their first bytes, then thrown away, and the
            client's connection is reset.
        cut: How many that has happened to.
    """

    def __init__(self, listener: socket.socket, forward_to: int, context: ssl.SSLContext | None) -> None:
        self._listener = listener
        self._context = context
        self._lock = threading.Lock()
        self.forward_to = forward_to
        self.port: int = listener.getsockname()[1]
        self.cuts_left = 0
        self.cut = 0

    def accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(accepted,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        asked = threading.Event()
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(client, server_side=True) if self._context else client as client,
            socket.create_connection(("127.0.0.1", self.forward_to)) as server,
        ):
            back = threading.Thread(target=self._answer, args=(server, client, asked), daemon=True)
            back.start()
            while data := client.recv(65536):
                if data.startswith(b"POST "):
                    asked.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            back.join()

    def _answer(self, server: socket.socket, client: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):  # from here on the server has accepted what was sent
                if asked.is_set() and self._is_to_cut():
                    # Closed with a timeout of zero, a connection is reset, not ended in order.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.shutdown(socket.SHUT_RD)  # wakes the thread that reads, which closes it
                    server.shutdown(socket.SHUT_RDWR)
                    return
                asked.clear()
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def _is_to_cut(self) -> bool:
        with self._lock:
            if self.cuts_left == 0:
                return False
            self.cuts_left -= 1
            self.cut += 1
            return True


@contextlib.contextmanager
def cutting_proxy(forward_to: int, *, context: ssl.SSLContext | None = None) -> Iterator[CuttingProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = CuttingProxy(listener, forward_to, context)
        threading.Thread(target=proxy.accept, daemon=True).start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)
