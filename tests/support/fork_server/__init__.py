"""Runs Pipelet's command line in forked processes, where a new interpreter would import for a second first.

A server process imports Pipelet once. For each command it forks a child, which takes the command's environment, folder
and open files and calls `main()` as `python -m pipelet` does. Signals, exit codes, the entries in /proc and the end are
those of any process, but for the last step: what is left in memory is not freed object by object. Commands that change
how Python starts get an interpreter of their own.

More servers are forked from the first when they are first needed. One imports torch and diffusers, which takes an
engine with a real model longer than everything after that. One imports the tests: workers of pytest are its children.
"""

import atexit
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
PATH = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])
ADDRESS = "TESTS_FORK_SERVER"
"""Environment variable: the folder of the servers' sockets."""
COLLECTED = "TESTS_FORK_COLLECTED"
"""Environment variable: command line of pytest, as JSON, that names the tests to be imported by a server for them."""
PADDING = "TESTS_FORK_SERVERPADDING"
PLAIN, TORCH, TESTS, TORCH_TESTS = "plain", "torch", "tests", "torch-tests"
PARENTS = {PLAIN: None, TORCH: PLAIN, TESTS: PLAIN, TORCH_TESTS: TORCH}
"""Kinds of servers, each with that from which it is forked when it is first needed."""
NUMBER = struct.Struct("i")
_HARMLESS = ("PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARYPATH")
_DIED = "The server of forked processes has died."


class Forked:
    """The process of one command, with the methods of `subprocess.Popen`.

    Attributes:
        pid: a child of the server, which reports its end here.
        returncode: None until `poll` or `wait` has seen the end.
    """

    def __init__(self, reports: socket.socket) -> None:
        if not (pid := reports.recv(NUMBER.size)):
            raise RuntimeError(_DIED)
        (self.pid,) = NUMBER.unpack(pid)
        self.returncode: int | None = None
        self._reports = reports.detach()
        self._ending = threading.Lock()
        weakref.finalize(self, os.close, self._reports)

    def fileno(self) -> int:
        """A descriptor that is readable once the process has ended."""
        return self._reports

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self._reports], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        with self._ending:
            if self.returncode is None:
                report = os.read(self._reports, NUMBER.size)
                if not report:
                    raise RuntimeError(_DIED)
                self.returncode = os.waitstatus_to_exitcode(*NUMBER.unpack(report))
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = Forked | subprocess.Popen[bytes]


def start(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: int,
    stderr: int,
    module: str = "pipelet",
    with_torch: bool = False,
) -> Process:
    """Run `python -m pipelet` with these arguments, in a session of its own. The outputs are descriptors of files."""
    if _needs_an_interpreter(env):
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    with open(os.devnull, "rb") as nothing:
        files = {0: nothing.fileno(), 1: stdout, 2: stderr}
        env = {**env, ADDRESS: address()}
        return fork(["-m", module, *arguments], cwd=str(cwd), env=env, files=files, with_torch=with_torch)


def fork(
    command: Sequence[str], *, cwd: str, env: Mapping[str, str], files: Mapping[int, int], with_torch: bool = False
) -> Forked:
    """Run `python` with this command line, which has a `-m`.

    Args:
        files: our descriptors, by the numbers that they get there.
        with_torch: in a process that has imported torch and diffusers already.
    """
    content = {"command": list(command), "cwd": cwd, "env": dict(env), "numbers": list(files)}
    message = json.dumps(content).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_path(TORCH if with_torch else PLAIN))
    socket.send_fds(connection, [NUMBER.pack(len(message))], list(files.values()))
    connection.sendall(message)
    return Forked(connection)


def python(tests: Sequence[str], *, with_torch: bool = False) -> str:
    """The command that takes the place of `python` where pytest starts its workers, which are to run these tests."""
    os.environ[COLLECTED] = json.dumps(list(tests))
    path = _path(TORCH_TESTS if with_torch else TESTS)
    return f"{sys.executable} -S -E {Path(__file__).with_name('launcher.py')} {path}"


def _needs_an_interpreter(env: Mapping[str, str]) -> bool:
    """Whether the variables change how Python starts, and not only what Pipelet does."""
    changing = [name for name in env if name.startswith(("PYTHON", "LD_")) and name not in _HARMLESS]
    return bool(changing) or env.get("PYTHONPATH") != PATH or not hasattr(os, "pidfd_open")


def address() -> str:
    """Return the folder of the servers' sockets. Servers are started if there are none, and end with this process."""
    if ADDRESS not in os.environ:
        folder = tempfile.mkdtemp(prefix="pipelet-forks-")
        with contextlib.ExitStack() as listeners:
            files = [listeners.enter_context(_listen(f"{folder}/{kind}")).fileno() for kind in PARENTS]
            room = "x" * 4000
            server = subprocess.Popen(
                [sys.executable, "-m", f"{__name__}.server", *map(str, files), room],
                env=os.environ | {"PYTHONPATH": PATH, PADDING: 16 * room},
                pass_fds=files,
                stdin=subprocess.PIPE,
            )
        os.environ[ADDRESS] = folder

        def stop() -> None:
            server.communicate()  # the end of its input ends it
            shutil.rmtree(folder)

        atexit.register(stop)
    return os.environ[ADDRESS]


def _path(kind: str) -> str:
    """Return the path of a server's socket."""
    return f"{address()}/{kind}"


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    return listener
