"""Notifies processes on this machine: sleeping workers when work arrives, open streams when a status changes.

Each listener binds a datagram socket in a folder next to the database; a notification sends one byte to each of them.
A notification costs 40 µs. Polling at the same latency would wake the CPU 200 times a second. It is only a hint:
listeners also poll, at a longer interval.
"""

import asyncio
import contextlib
import itertools
import os
import secrets
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import structlog

from pipelet.system.permissions import PRIVATE, Permissions

log = structlog.get_logger()

_MAX_ADDRESS_BYTES = 100
"""Bytes. Linux takes 107 for a socket's path, macOS 103."""
_MAX_LISTENERS = 1000


class LocalNotifier:
    def __init__(self, database: Path, *, channel: str = "", permissions: Permissions = PRIVATE) -> None:
        """Create a notifier whose listeners receive the notifications of the same `channel` only."""
        # Next to the database: every process finds the folder there, and other users cannot put anything into it.
        path = database.resolve()
        self._folder = path.with_name(f"{path.name}-notify{channel}")
        self._permissions = permissions
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._refused = False

    def notify(self) -> None:
        """Notify all listeners. Safe from any thread; never blocks and never fails, as listeners also poll."""
        try:
            with self._opened() as folder, os.scandir(folder) as listeners:
                for listener in itertools.islice(listeners, _MAX_LISTENERS):
                    self._send(folder, listener.name)
        except FileNotFoundError:  # no process has listened yet
            pass
        except OSError as error:
            self._refuse(error)

    def _send(self, folder: int, name: str) -> None:
        try:
            self._sender.sendto(b"\0", self._address(folder, name))
        except ConnectionRefusedError:  # its process was killed; the kernel says the same of a path that is no socket
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.lstat(name, dir_fd=folder).st_mode):
                    os.unlink(name, dir_fd=folder)
        except OSError:  # its buffer is full, or it has just closed
            pass

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Event]:
        """Yield an event that each notification sets and the caller clears; without a socket it is never set."""
        event = asyncio.Event()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as endpoint:
            endpoint.setblocking(False)
            name = secrets.token_hex(8)
            try:
                self._bind(endpoint, name)
            except OSError as error:
                self._refuse(error)
                yield event
                return
            loop = asyncio.get_running_loop()

            def on_readable() -> None:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        endpoint.recv(16)
                event.set()

            loop.add_reader(endpoint, on_readable)
            try:
                yield event
            finally:
                loop.remove_reader(endpoint)
                (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        self._sender.close()

    def _bind(self, endpoint: socket.socket, name: str) -> None:
        self._permissions.make_folder(self._folder)
        with self._opened() as folder:
            endpoint.bind(self._address(folder, name))
        self._permissions.set_mode(self._folder / name)  # sending needs write permission

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """Yield the folder's descriptor.

        Raises:
            OSError: the folder is missing, or other users can write to it.
        """
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not self._is_trusted(os.fstat(folder)):
                raise PermissionError(f"other users can write to {self._folder}, or own it; delete it")
            yield folder
        finally:
            os.close(folder)

    def _is_trusted(self, found: os.stat_result) -> bool:
        group = self._permissions.group
        if group is None:
            return found.st_uid == os.geteuid() and not found.st_mode & 0o077
        return found.st_gid == group and not found.st_mode & 0o007

    def _address(self, folder: int, name: str) -> str:
        path = str(self._folder / name)
        if len(os.fsencode(path)) <= _MAX_ADDRESS_BYTES:
            return path
        return f"/proc/self/fd/{folder}/{name}"  # without /proc the system refuses that, and the process polls

    def _refuse(self, error: OSError) -> None:
        if not self._refused:
            self._refused = True
            log.warning("notifier.listen_failed", folder=str(self._folder), reason=str(error))
