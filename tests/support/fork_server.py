"""Runs Pipelet's command line in forked processes, where a new interpreter would import for a second first.

A server process imports Pipelet once. For each command it forks a child, which takes the command's environment, folder
and output files and calls `main()` as `python -m pipelet` does. Signals, exit codes and the end of the interpreter are
those of any process. Commands that change how Python starts get an interpreter of their own.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_NOT_IMPORTED = ("__main__", "diffusers", "fleet", "env", "child", "otlp")
"""Parts of names of modules that run, or that import torch, ray or OpenTelemetry, which few commands need."""
_REPOSITORY = Path(__file__).parents[2]
_PATH = os.pathsep.join([str(_REPOSITORY / "src"), str(_REPOSITORY)])
_HARMLESS = ("PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH")
ADDRESS = "TESTS_FORK_SERVER"
"""Environment variable: the path of the server's socket."""
_NUMBER = struct.Struct("i")


class Forked:
    """The process of one command, with the methods of `subprocess.Popen`.

    Attributes:
        pid: a child of the server, which reports its end here.
        returncode: None until `poll` or `wait` has seen the end.
    """

    def __init__(self, reports: socket.socket) -> None:
        (self.pid,) = _NUMBER.unpack(reports.recv(_NUMBER.size))
        self.returncode: int | None = None
        self._reports = reports.detach()
        self._ending = threading.Lock()
        weakref.finalize(self, os.close, self._reports)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self._reports], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        with self._ending:
            if self.returncode is None:
                report = os.read(self._reports, _NUMBER.size)
                if not report:
                    raise RuntimeError("The server of forked processes has died.")
                self.returncode = os.waitstatus_to_exitcode(*_NUMBER.unpack(report))
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
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int, stderr: int, module: str = "pipelet"
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
    content = {"module": module, "arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
    command = json.dumps(content).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address())
    socket.send_fds(connection, [_NUMBER.pack(len(command))], [stdout, stderr])
    connection.sendall(command)
    return Forked(connection)


def _needs_an_interpreter(env: Mapping[str, str]) -> bool:
    """Whether the variables change how Python starts, and not only what Pipelet does."""
    changing = [name for name in env if name.startswith(("PYTHON", "LD_")) and name not in _HARMLESS]
    return bool(changing) or env.get("PYTHONPATH") != _PATH or not hasattr(os, "pidfd_open")


def address() -> str:
    """Of the server, which is started where there is none, and lives as long as the process that started it."""
    if ADDRESS not in os.environ:
        folder = tempfile.mkdtemp(prefix="pipelet-forks-")
        path = f"{folder}/socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(64)
            server = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listener.fileno())],
                env=os.environ | {"PYTHONPATH": _PATH},
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
            )
        os.environ[ADDRESS] = path

        def stop() -> None:
            server.communicate()  # the end of its input ends it
            shutil.rmtree(folder)

        atexit.register(stop)
    return os.environ[ADDRESS]


# -- the server's side -------------------------------------------------------------------------------------------------


def _import_pipelet() -> None:
    import pipelet

    for module in pkgutil.walk_packages(pipelet.__path__, "pipelet."):
        if not any(part in module.name for part in _NOT_IMPORTED):
            importlib.import_module(module.name)


def _commands(listener: socket.socket) -> Iterator[dict[str, Any]]:
    """In the child of each command: that command. The server itself exits at the end of its input."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _report(*key.data)
                    continue
                if key.fileobj is sys.stdin:
                    os._exit(0)
                connection, _ = listener.accept()
                length, files, _, _ = socket.recv_fds(connection, _NUMBER.size, 2)
                (size,) = _NUMBER.unpack(length)
                command = json.loads(connection.recv(size, socket.MSG_WAITALL))
                if pid := os.fork():
                    for file in files:
                        os.close(file)
                    connection.send(_NUMBER.pack(pid))
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, data=(pid, connection))
                else:
                    for standard, file in enumerate((os.open(os.devnull, os.O_RDONLY), *files)):
                        os.dup2(file, standard)
                    yield command


def _report(pid: int, reports: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    with reports, contextlib.suppress(OSError):  # the test may have ended
        reports.send(_NUMBER.pack(status))


def _become(command: Mapping[str, Any]) -> None:
    """Do what the kernel and the interpreter do for a new process."""
    os.closerange(3, 1024)
    os.setsid()
    os.environ.clear()
    os.environ.update(command["env"])
    os.chdir(command["cwd"])
    sys.path[0] = command["cwd"]
    sys.argv[:] = [command["module"], *command["arguments"]]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, which then end the server
    _import_pipelet()
    gc.freeze()  # else the end of each child would walk through all of it
    wanted = next(_commands(socket.socket(fileno=int(sys.argv[1]))))
    _become(wanted)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    runpy.run_module(wanted["module"], run_name="__main__", alter_sys=True)
