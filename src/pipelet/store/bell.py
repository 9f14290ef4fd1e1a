"""Wakes whoever listens on this machine: sleeping workers when work arrives, open streams when something changed.

Each listener binds a datagram socket in a folder that belongs to the database; ringing sends a byte to every one.
A poke takes 40 µs, where polling often enough to be as quick would cost a laptop 200 wake-ups a second. It is only a
hint: whoever listens also looks by itself now and then.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

log = structlog.get_logger()


class Bell:
    def __init__(self, database: Path, *, about: str = "") -> None:
        """`about` keeps apart what is rung for: whoever listens hears only bells of the same."""
        # Not beside the database: a socket's path may have 107 characters at most, and a data directory can be deep.
        name = hashlib.sha256(os.fsencode(database.resolve())).hexdigest()[:16]
        self._folder = Path(tempfile.gettempdir()) / f"pipelet-{os.getuid()}-{name}{about}"
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)

    def ring(self) -> None:
        """Safe from any thread; never blocks, never fails: whoever cannot be reached looks by itself now and then."""
        try:
            listeners = os.listdir(self._folder)
        except OSError:  # nobody has listened yet, or the folder is somebody else's
            return
        for listener in listeners:
            path = self._folder / listener
            try:
                self._sender.sendto(b"\0", str(path))
            except ConnectionRefusedError:  # its process was killed
                with contextlib.suppress(OSError):
                    path.unlink()
            except OSError:  # it has pokes enough, or has just left
                pass

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Event]:
        """The event is set at every ring; whoever waits clears it. Where no socket can be had it is never set."""
        path = self._folder / secrets.token_hex(8)
        event = asyncio.Event()
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.setblocking(False)
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                receiver.bind(str(path))
            except OSError as error:  # the temporary folder's path may be too long for a socket, or not ours to write
                log.warning("bell.deaf", folder=str(self._folder), reason=str(error))
                yield event
                return

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
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # others still listen
                    self._folder.rmdir()

    def close(self) -> None:
        self._sender.close()
