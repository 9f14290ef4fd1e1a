"""Workers and engines as forked processes: what starts them with asyncio gets them from the fork server.

They are real processes with a command line, an environment and open files of their own, and end as any other. Only the
time that a new interpreter imports is saved. `COLD` in the environment of a process keeps its children out of it.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.support import fork_server

COLD = "TESTS_START_COLD"
"""Environment variable: what is started with it gets a new interpreter."""
WITH_TORCH = "TESTS_FORK_WITH_TORCH"
"""Environment variable: engines that are started with it, and imports that are tried, need torch and diffusers."""
_start_cold = asyncio.create_subprocess_exec
_run_cold = subprocess.run


class ForkedChild:
    """A child with what `asyncio.subprocess.Process` has and Pipelet uses."""

    def __init__(self, process: fork_server.Forked, input_pipe: int | None) -> None:
        self.pid = process.pid
        self.returncode: int | None = None
        self._process = process
        self._input_pipe = input_pipe
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(process.fileno(), self._end)

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        self._process.send_signal(number)

    def terminate(self) -> None:
        self.send_signal(15)

    def kill(self) -> None:
        self.send_signal(9)

    def _end(self) -> None:
        self._loop.remove_reader(self._process.fileno())
        self.returncode = self._process.wait()
        if self._input_pipe is not None:
            os.close(self._input_pipe)
        self._ended.set()


def install() -> None:
    """Fork children from now on, in this process."""
    asyncio.create_subprocess_exec = _start  # type: ignore[assignment]
    subprocess.run = _run  # type: ignore[assignment]


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Fork children in this process, until the end of the `with` block."""
    install()
    try:
        yield
    finally:
        asyncio.create_subprocess_exec = _start_cold
        subprocess.run = _run_cold


async def _start(program: str, *command: str, **how: Any) -> ForkedChild | asyncio.subprocess.Process:
    if _can_be_forked(program, command, how.get("env") or os.environ):
        return await _fork(command, **how)
    return await _start_cold(program, *command, **how)


def _run(command: Sequence[str], **how: Any) -> subprocess.CompletedProcess[Any]:
    """Fork what `doctor` tries to import, where that is torch."""
    program, *arguments = command
    if program != sys.executable or "-c" not in arguments or WITH_TORCH not in how.get("env", {}):
        return _run_cold(command, **how)
    with open(os.devnull) as nothing, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        files = {0: nothing.fileno(), 1: out.fileno(), 2: errors.fileno()}
        process = fork_server.fork(arguments, cwd=os.getcwd(), env=how["env"], files=files, with_torch=True)
        code = process.wait(how["timeout"])
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), errors.read())


async def _fork(
    command: Sequence[str],
    *,
    start_new_session: bool,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> ForkedChild:
    assert start_new_session
    env = os.environ if env is None else env
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as if_it_fails:
        nothing = os.open(os.devnull, os.O_RDWR)
        ours.callback(os.close, nothing)
        input_pipe = None
        if stdin == PIPE:
            stdin, input_pipe = os.pipe()
            ours.callback(os.close, stdin)
            if_it_fails.callback(os.close, input_pipe)
        files = {number: _descriptor(number, given, nothing) for number, given in enumerate((stdin, stdout, stderr))}
        process = await asyncio.to_thread(
            fork_server.fork,
            command,
            cwd=os.getcwd(),
            env=env,
            files=files | {file: file for file in pass_fds},
            with_torch=WITH_TORCH in env and "pipelet.engine.child" in command,
        )
        if_it_fails.pop_all()
        return ForkedChild(process, input_pipe)


def _can_be_forked(program: str, command: Sequence[str], env: Mapping[str, str]) -> bool:
    is_ours = program == sys.executable and "-m" in command and command[command.index("-m") + 1].startswith("pipelet")
    return is_ours and COLD not in env and hasattr(os, "pidfd_open")


def _descriptor(number: int, given: int | None, nothing: int) -> int:
    """Return the descriptor that a child gets as `number`, when its parent asked for `given`."""
    if given is None:
        return number
    return nothing if given == DEVNULL else given
