"""Wakes whoever listens on this machine: sleeping workers when work arrives, open streams when something changed.

Each listener binds a datagram socket in a folder next to the database; ringing sends a byte to every one. A poke takes
40 µs, where polling often enough to be as quick would cost a laptop 200 wake-ups a second. It is only a hint: listeners
poll as well, at a longer interval.
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

_LONGEST_ADDRESS = 100
"""Bytes. Linux takes 107 for a socket's path, macOS 103."""
_MAX_LISTENERS = 1000


class Bell:
    def __init__(self, database: Path, *, about: str = "", permissions: Permissions = PRIVATE) -> None:
        """`about` keeps apart what is rung for: whoever listens hears only bells of the same."""
        # Next to the database: every process finds it there, and other users cannot put anything into it.
        path = database.resolve()
        self._folder = path.with_name(f"{path.name}-notify{about}")
        self._permissions = permissions
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._refused = False

    def ring(self) -> None:
        """Safe from any thread; never blocks, never fails: whoever cannot be reached looks by itself now and then."""
        try:
            with self._opened() as folder, os.scandir(folder) as listeners:
                for listener in itertools.islice(listeners, _MAX_LISTENERS):
                    self._poke(folder, listener.name)
        except FileNotFoundError:  # no process has listened yet
            pass
        except OSError as error:
            self._refuse(error)

    def _poke(self, folder: int, name: str) -> None:
        try:
            self._sender.sendto(b"\0", self._address(folder, name))
        except ConnectionRefusedError:  # its process was killed; the kernel says the same of a path that is no socket
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.lstat(name, dir_fd=folder).st_mode):
                    os.unlink(name, dir_fd=folder)
        except OSError:  # it has pokes enough, or has just left
            pass

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Event]:
        """The event is set at every ring; whoever waits clears it. Where no socket can be had it is never set."""
        event = asyncio.Event()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.setblocking(False)
            name = secrets.token_hex(8)
            try:
                self._bind(receiver, name)
            except OSError as error:
                self._refuse(error)
                yield event
                return
            loop = asyncio.get_running_loop()

            def heard() -> None:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        receiver.recv(16)
                event.set()

            loop.add_reader(receiver, heard)
            try:
                yield event
            finally:
                loop.remove_reader(receiver)
                (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        self._sender.close()

    def _bind(self, receiver: socket.socket, name: str) -> None:
        self._permissions.make_folder(self._folder)
        with self._opened() as folder:
            receiver.bind(self._address(folder, name))
        self._permissions.set_mode(self._folder / name)  # to send is to write

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder's descriptor.

        Raises:
            OSError: it is missing, or other users may have put into it what they like.
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
        if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
            return path
        return f"/proc/self/fd/{folder}/{name}"  # where there is no /proc, the system refuses that, and we poll

    def _refuse(self, error: OSError) -> None:
        if not self._refused:
            self._refused = True
            log.warning("bell.deaf", folder=str(self._folder), reason=str(error))
