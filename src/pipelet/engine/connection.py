"""A running child process, the socket to it, and what it printed."""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from contextlib import ExitStack, suppress
from typing import cast

import structlog

from pipelet.domain.errors import EngineDied
from pipelet.engine import messages
from pipelet.engine.pixels import Inbox, Slots
from pipelet.system.processes import environment_without_secrets, module_path

log = structlog.get_logger()

SLOTS = 3
"""One picture being drawn, one being written to files, one between the two."""
_EXIT_SECONDS = 5.0
_LINES_KEPT = 20
_LONGEST_LINE = 500


class Connection:
    """Everything that lives and dies with one child process."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        output: "Output",
        slots: Slots,
        inbox: Inbox,
    ) -> None:
        self.process = process
        self.slots = slots
        self.inbox = inbox
        self._reader = reader
        self._writer = writer
        self._output = output
        self._closed = False
        self._killed_by_us = False

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None and not self._closed and not self._reader.at_eof()

    def send(self, message: messages.FromParent) -> None:
        """Send without waiting: messages are small, and the child reads them even while it draws.

        That the child is gone is not reported here but by the next `receive`, which knows how it ended.
        """
        self._writer.write(messages.encode(message))

    async def receive(self, within: float) -> messages.FromChild:
        """The next message.

        Raises:
            TimeoutError: none came within `within` seconds.
            EngineDied: the process is gone.
        """
        try:
            async with asyncio.timeout(within):
                line = await self._reader.readline()
        except ConnectionError:
            line = b""
        if not line.endswith(b"\n"):
            raise await self.death()
        return cast(messages.FromChild, messages.decode(line))

    async def death(self) -> EngineDied:
        """See the process off, and say how it ended."""
        await self.close()
        return EngineDied(self._how_it_ended(), last_words=self.last_words())

    def last_words(self) -> str:
        """The last line that the process printed, as a sentence."""
        line = self._output.last_line()
        return f"The last line it printed: {line}" if line else ""

    async def close(self) -> None:
        """End the process, by force where it does not go within five seconds, and let go of what it had."""
        self._closed = True
        self._writer.close()
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                await self.process.wait()
        except TimeoutError:
            await self.kill()
        await self._output.finish()
        self.slots.close()
        self.inbox.close()

    async def kill(self) -> None:
        """End the process and its own children at once."""
        if self.process.returncode is None:
            self._killed_by_us = True
            # It may be gone already, and only the news of it on its way. (macOS calls that a lack of permission.)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()
        await self.close()

    def _how_it_ended(self) -> str:
        code = self.process.returncode or 0
        if code == -signal.SIGKILL and not self._killed_by_us:
            return (
                "The drawing process was killed (SIGKILL). Where nobody did that by hand, it was the kernel, "
                "because the machine ran out of memory."
            )
        if code < 0:
            return f"The drawing process was ended by {signal.Signals(-code).name}."
        return f"The drawing process exited with code {code}."


class Output:
    """What a process prints, logged line by line; the last lines are kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._following = asyncio.create_task(self._follow())

    def last_line(self) -> str:
        return self._lines[-1] if self._lines else ""

    async def finish(self) -> None:
        """Read what is left. A grandchild may hold the other end open: it is not waited for."""
        await asyncio.wait({self._following}, timeout=0.5)
        self._following.cancel()
        self._writer.close()

    async def _follow(self) -> None:
        rest = b""
        # In pieces, not in lines: a progress bar is one line without an end.
        while piece := await self._reader.read(65536):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._note(line)
            rest = rest[-_LONGEST_LINE:]
        self._note(rest)

    def _note(self, line: bytes) -> None:
        # Of what was written over itself, the last state: as a terminal shows it.
        shown = line.rstrip(b"\r").rpartition(b"\r")[2]
        text = shown[:_LONGEST_LINE].decode("utf-8", "replace").strip()
        if text:
            self._lines.append(text)
            log.debug("engine.printed", line=text)


async def spawn(*, hub: bool = False) -> Connection:
    """Start a child process that waits for `Load`; with `hub` it gets the token for the model hub."""
    with ExitStack() as undo:
        slots = Slots(SLOTS)
        undo.callback(slots.close)
        inbox = Inbox()
        undo.callback(inbox.close)
        control, child_control = map(undo.enter_context, socket.socketpair())
        printed, child_printed = map(undo.enter_context, socket.socketpair())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-u", "-m", "pipelet.engine.child"),
            *("--control", str(child_control.fileno()), "--inbox", str(inbox.descriptor)),
            *("--slots", ",".join(map(str, slots.descriptors))),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=child_printed.fileno(),
            stderr=child_printed.fileno(),
            pass_fds=(child_control.fileno(), inbox.descriptor, *slots.descriptors),
            env=_environment(hub=hub),
            start_new_session=True,
        )
        reader, writer = await asyncio.open_unix_connection(sock=control)
        output = Output(*await asyncio.open_unix_connection(sock=printed))
        child_control.close()
        child_printed.close()
        undo.pop_all()
    return Connection(process, reader, writer, output, slots, inbox)


def _environment(*, hub: bool) -> dict[str, str]:
    defaults = {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Threads that wait for each other sleep instead of spinning. Beside other busy processes, on two cores, a small
        # picture then takes 0.16 s instead of 0.9 to 2.9; on idle cores the loss is some hundredths of a second.
        "OMP_WAIT_POLICY": "passive",
        # oneDNN keeps 1024 compiled kernels, of every size that was drawn: after 40 sizes 730 MB instead of 600, and no
        # faster. With 64 the kernels of one drawing do not fit, and it takes a fifth longer.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
    }
    if "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:  # the older name of the same, which an operator may have set
        defaults["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"
    # The child finds every module that this process finds. Neither it nor its own children find one by being started in
    # some folder. It loads files of third parties, and needs no secret.
    inherited = environment_without_secrets(hub=hub)
    return defaults | inherited | {"PYTHONPATH": module_path(), "PYTHONSAFEPATH": "1"}
