"""A running child process, the socket to it, and its output."""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import cast

import structlog

from pipelet.domain.errors import EngineDied
from pipelet.engine import messages
from pipelet.engine.previews import PreviewBuffer
from pipelet.engine.shared_memory import InputBuffer, Slots
from pipelet.system.processes import environment_without_secrets, module_path

log = structlog.get_logger()

SLOTS = 3
"""Buffers for pixels: one being generated, one being encoded, one between the two."""
_EXIT_SECONDS = 5.0
_MAX_LINES = 20
_MAX_LINE_BYTES = 500


@dataclass(kw_only=True, eq=False)
class ChildProcess:
    """Everything that belongs to one child process."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    output: "OutputReader"
    slots: Slots
    inbox: InputBuffer
    previews: PreviewBuffer
    is_closed: bool = False
    was_killed: bool = False
    """Whether `kill` ended it."""

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None and not self.is_closed and not self.reader.at_eof()

    def send(self, message: messages.FromParent) -> None:
        """Send without waiting: messages are small, and the child reads them even while it generates.

        If the child is gone, the next `receive` says how it exited.
        """
        self.writer.write(messages.encode(message))

    async def receive(self, within: float) -> messages.FromChild:
        """Return the next message.

        Raises:
            TimeoutError: none came within `within` seconds.
            EngineDied: the process is gone.
        """
        try:
            async with asyncio.timeout(within):
                line = await self.reader.readline()
        except ConnectionError:
            line = b""
        if not line.endswith(b"\n"):
            raise await self.wait_for_exit()
        return cast(messages.FromChild, messages.decode(line))

    async def wait_for_exit(self) -> EngineDied:
        """Close the connection, wait for the exit of the process, and return how it exited."""
        await self.close()
        return EngineDied(self._exit_reason(), stderr_tail=self.stderr_tail())

    def stderr_tail(self) -> str:
        """Return the last line of the process's output as a sentence."""
        return f"Its last output: {self.output.lines[-1]}" if self.output.lines else ""

    async def close(self) -> None:
        """End the process, killing it after five seconds, and release its resources."""
        self.is_closed = True
        self.writer.close()
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                await self.process.wait()
        except TimeoutError:
            await self.kill()
        await self.output.finish()
        self.slots.close()
        self.inbox.close()
        self.previews.close()

    async def kill(self) -> None:
        """Kill the process and its children."""
        if self.process.returncode is None:
            self.was_killed = True
            # It may have exited already, unnoticed. (macOS reports that as a lack of permission.)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()
        await self.close()

    def _exit_reason(self) -> str:
        code = self.process.returncode or 0
        if code == -signal.SIGKILL and not self.was_killed:
            return (
                "The engine process was killed (SIGKILL): by hand, or by the kernel because the machine ran out of "
                "memory."
            )
        if code < 0:
            return f"The engine process was ended by {signal.Signals(-code).name}."
        return f"The engine process exited with code {code}."


class OutputReader:
    """Logs the output of a process line by line, and keeps the last lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._following = asyncio.create_task(self._follow())

    async def finish(self) -> None:
        """Read the rest, without waiting for a grandchild that holds the other end open."""
        await asyncio.wait({self._following}, timeout=0.5)
        self._following.cancel()
        self._writer.close()

    async def _follow(self) -> None:
        rest = b""
        # In chunks, not in lines: a progress bar is one endless line.
        while chunk := await self._reader.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._append(line)
            rest = rest[-_MAX_LINE_BYTES:]
        self._append(rest)

    def _append(self, line: bytes) -> None:
        # A progress bar overwrites its line: keep the last state, as a terminal shows it.
        shown = line.rstrip(b"\r").rpartition(b"\r")[2]
        text = shown[:_MAX_LINE_BYTES].decode("utf-8", "replace").strip()
        if text:
            self.lines.append(text)
            log.debug("engine.stderr", line=text)


async def spawn(*, hub: bool = False) -> ChildProcess:
    """Start a child process, which waits for `Load`; with `hub` it gets the token for the model hub."""
    with ExitStack() as undo:
        slots = Slots(SLOTS)
        undo.callback(slots.close)
        inbox = InputBuffer()
        undo.callback(inbox.close)
        previews = PreviewBuffer()
        undo.callback(previews.close)
        control, child_control = map(undo.enter_context, socket.socketpair())
        printed, child_printed = map(undo.enter_context, socket.socketpair())
        passed = (child_control.fileno(), inbox.descriptor, previews.descriptor, *slots.descriptors)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-u", "-m", "pipelet.engine.child"),
            *map(str, passed),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=child_printed.fileno(),
            stderr=child_printed.fileno(),
            pass_fds=passed,
            env=_environment(hub=hub),
            start_new_session=True,
        )
        reader, writer = await asyncio.open_unix_connection(sock=control)
        output = OutputReader(*await asyncio.open_unix_connection(sock=printed))
        child_control.close()
        child_printed.close()
        undo.pop_all()
    return ChildProcess(
        process=process, reader=reader, writer=writer, output=output, slots=slots, inbox=inbox, previews=previews
    )


def _environment(*, hub: bool) -> dict[str, str]:
    defaults = {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Waiting threads sleep instead of spinning. With other busy processes on two cores, a small image then takes
        # 0.16 s instead of 0.9 to 2.9; on idle cores the loss is some hundredths of a second.
        "OMP_WAIT_POLICY": "passive",
        # oneDNN keeps 1024 compiled kernels of every size: after 40 sizes 730 MB instead of 600, and no faster. With 64
        # the kernels of one image do not fit, and it takes a fifth longer.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
    }
    if "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:  # its older name, which an operator may have set
        defaults["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"
    # The child finds the modules that this process finds, and none in its working directory. It loads files of third
    # parties, and needs no secret.
    inherited = environment_without_secrets(hub=hub)
    return defaults | inherited | {"PYTHONPATH": module_path(), "PYTHONSAFEPATH": "1"}
