"""The servers of forked processes: `python -m tests.support.fork_server.server`, which only the package starts."""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support.fork_server import (
    COLLECTED,
    NUMBER,
    PADDING,
    PARENTS,
    PATH,
    PLAIN,
    TESTS,
    TORCH,
    TORCH_TESTS,
    children,
)
from tests.support.fork_server.ending import run_to_the_end

_NOT_IMPORTED = ("__main__", "diffusers", "fleet", "env", "child", "otlp")
"""Parts of names of modules that run, or that import torch, ray or OpenTelemetry, which few commands need."""
_IMPORTED_WHEN_USED = ("anyio._backends._asyncio", "httpcore2")
"""Modules that the client of HTTP imports when its first one is made, which an API and a worker both do."""
_READ_BY_TORCH = (
    "CUDA_",
    "DIFFUSERS_",
    "HF_",
    "KMP_",
    "MKL_",
    "OMP_",
    "ONEDNN_",
    "PYTORCH_",
    "TORCH_",
    "TRANSFORMERS_",
)
"""Beginnings of names of variables that are read during the imports."""
_MAX_FILES = 16
_ABOVE_ALL_FILES = 600


def _import_pipelet() -> None:
    import pipelet

    for module in pkgutil.walk_packages(pipelet.__path__, "pipelet."):
        if not any(part in module.name for part in _NOT_IMPORTED):
            importlib.import_module(module.name)


def _build_an_api() -> None:
    """FastAPI and Pydantic import and remember much of what they need only then."""
    from pipelet.blobs.disk import DiskBlobStore
    from pipelet.store.sqlite import open_sqlite
    from tests.api.service import build
    from tests.support.databases import empty_sqlite
    from tests.support.jobs import FakeClock

    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "pipelet.sqlite")
        database.write_bytes(empty_sqlite())
        store = open_sqlite(database)
        build(store, DiskBlobStore(Path(folder), signing_key=b"k" * 32, url_ttl_seconds=1), FakeClock())
        store.close()


def _import_plain() -> None:
    _import_pipelet()
    for name in _IMPORTED_WHEN_USED:
        importlib.import_module(name)
    _build_an_api()


def _import_torch() -> None:
    """Import all that an engine has imported once its model is loaded, for which a child loads one."""
    from pipelet.engine import child_pipes

    os.environ.update(child_pipes._environment(hub=False))
    given = dict(os.environ)
    importlib.import_module("pipelet.engine.diffusers.backend")
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        with open(writing, "w") as names:
            names.write("\n".join(_load_demo_model()))
        os._exit(0)
    os.close(writing)
    with open(reading) as names:
        for name in names.read().split():
            with contextlib.suppress(ImportError):  # some are made at run time
                importlib.import_module(name)
    os.wait()
    _compile_names_of_weights()
    os.environ.clear()  # torch has added to it
    os.environ.update(given)
    _prepare_the_judge()
    assert 1 == len(os.listdir("/proc/self/task")), "no other thread would come along into forked processes"


def _compile_names_of_weights() -> None:
    """Transformers compiles those of all its models when it loads the first one, which takes a fifth of a second."""
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("qwen3")


def _prepare_the_judge() -> None:
    """It makes its references at its first look at an image, in four seconds."""
    import numpy as np

    from training.judge import recognise

    recognise(np.zeros((256, 256, 3), np.uint8))


@contextlib.contextmanager
def _no_output() -> Iterator[None]:
    """Libraries remark on each other."""
    kept = {file: os.dup(file) for file in (1, 2)}
    with open(os.devnull, "wb") as nothing:
        for file in kept:
            os.dup2(nothing.fileno(), file)
    try:
        yield
    finally:
        for file, copy in kept.items():
            os.dup2(copy, file)
            os.close(copy)


def _import_tests() -> None:
    """Import pytest and the files of tests, as pytest does it: its workers find all that, and collect in less time."""
    _spare_from_rewriting("anyio")
    import pytest

    os.environ.pop("PYTEST_ADDOPTS", None)
    pytest.main(["--collect-only", "-p", "no:cacheprovider", *json.loads(os.environ[COLLECTED])])
    assert 1 == len(os.listdir("/proc/self/task")), "no other thread would come along into forked processes"


def _load_demo_model() -> list[str]:
    """Return the names of all modules that are there afterwards."""
    from pipelet.domain.catalog import ModelConfig
    from pipelet.engine.diffusers.backend import DiffusersBackend
    from pipelet.engine.sources import resolve

    source = resolve("package:demo")
    DiffusersBackend.load(model=ModelConfig(name="demo", source=source), source=source, device="cpu")
    return list(sys.modules)


def _next_command(listener: socket.socket, offspring: Mapping[str, socket.socket]) -> dict[str, Any] | str:
    """Serve. Return in forked children: in that of a command with it, in that which is to be a server with its kind.

    The server itself exits at the end of its input.

    Args:
        offspring: where servers listen that are forked from this one, or from such, when they are first needed.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        for kind, other in offspring.items():
            child = kind if (parent := PARENTS[kind]) not in offspring else parent
            selector.register(other, selectors.EVENT_READ, data=child)
        while True:
            for key, _ in selector.select():
                if isinstance(key.data, str):
                    if os.fork() == 0:
                        return key.data
                    for kind in (key.data, *(kind for kind, parent in PARENTS.items() if parent == key.data)):
                        selector.unregister(offspring[kind])
                        offspring[kind].close()
                    break  # the other listener of the same server may be among what was selected
                if key.data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _report(*key.data)
                elif key.fileobj is sys.stdin:
                    os._exit(0)
                else:
                    connection, _ = listener.accept()
                    command = _receive(connection)
                    if (pid := os.fork()) == 0:
                        os.setsid()  # before the other side knows the process, and kills its group
                        connection.send(NUMBER.pack(os.getpid()))
                        return command
                    for file in command["files"]:
                        os.close(file)
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, data=(pid, connection))


def _quietly(prepare: Callable[[], None]) -> Callable[[], None]:
    def prepare_quietly() -> None:
        with _no_output():
            prepare()

    return prepare_quietly


_PREPARATIONS = {
    PLAIN: _import_plain,
    TORCH: _quietly(_import_torch),
    TESTS: _quietly(_import_tests),
    TORCH_TESTS: _quietly(_import_tests),
}


def _receive(connection: socket.socket) -> dict[str, Any]:
    length, files, _, _ = socket.recv_fds(connection, NUMBER.size, _MAX_FILES)
    (size,) = NUMBER.unpack(length)
    return {**json.loads(connection.recv(size, socket.MSG_WAITALL)), "files": files}


def _report(pid: int, reports: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    with reports, contextlib.suppress(OSError):  # the test may have ended
        reports.send(NUMBER.pack(status))


def _become(command: Mapping[str, Any], own_path: Sequence[str]) -> None:
    """Do what the kernel and the interpreter do for a new process, and run it.

    Args:
        own_path: where every interpreter looks for modules.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    flags, (kind, what, *arguments) = _split(command["command"])
    _place(dict(zip(command["numbers"], command["files"], strict=True)))
    os.chdir(command["cwd"])
    if not _is_as_imported(command["env"]):
        os.execve(sys.executable, [sys.executable, *command["command"]], command["env"])  # noqa: S606
    os.environ.clear()
    os.environ.update(command["env"])
    _show([sys.executable, *command["command"]], command["env"])
    named = [path for path in command["env"].get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [*([] if "-P" in flags else [command["cwd"]]), *named, *own_path]
    sys.argv[:] = [what, *arguments]
    if "-u" in flags:
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    if kind == "-m":
        children.install()
        run_to_the_end(lambda: runpy.run_module(what, run_name="__main__", alter_sys=True))
    else:  # a worker of pytest, or an import that is tried
        _spare_from_rewriting("anyio")
        sys.modules["__main__"] = main = ModuleType("__main__")
        run_to_the_end(lambda: exec(what, vars(main)))  # noqa: S102


def _spare_from_rewriting(name: str) -> None:
    """Tell pytest that nothing is wrong with an early import of a package which brings a plugin for it."""
    module = importlib.import_module(name)
    module.__doc__ = f"{module.__doc__}\n\nPYTEST_DONT_REWRITE"


def _split(command: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    at = next(place for place, argument in enumerate(command) if argument in ("-m", "-c"))
    return command[:at], command[at:]


def _place(files: Mapping[int, int]) -> None:
    """Open these files under these numbers, and no others."""
    moved = {number: fcntl.fcntl(file, fcntl.F_DUPFD, _ABOVE_ALL_FILES) for number, file in files.items()}
    os.closerange(3, _ABOVE_ALL_FILES)
    for number, file in moved.items():
        os.dup2(file, number)
    os.closerange(_ABOVE_ALL_FILES, 1024)


def _is_as_imported(environment: Mapping[str, str]) -> bool:
    """Whether torch, where it is imported, has read the variables as they are in this environment."""
    return "torch" not in sys.modules or _for_torch(environment).items() <= _for_torch(os.environ).items()


def _for_torch(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_BY_TORCH)}


def _show(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Put the command line and the environment where /proc and `ps` read them. The server's were padded for that."""
    places = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:49]
    arguments_start, arguments_end, environment_start, environment_end = map(int, places)
    variables = [f"{name}={value}" for name, value in environment.items()]
    for start_, end, texts in (
        (arguments_start, arguments_end, arguments),
        (environment_start, environment_end, variables),
    ):
        size = end - start_
        content = b"".join(os.fsencode(text) + b"\0" for text in texts)[: size - 1]
        ctypes.memmove(start_, content.ljust(size, b"\0"), size)


def _serve(listeners: Mapping[str, socket.socket]) -> dict[str, Any]:
    """Return in the child of each command."""
    offspring = dict(listeners)
    kind = PLAIN
    while True:
        listener = offspring.pop(kind)
        _PREPARATIONS[kind]()
        gc.collect()
        gc.freeze()  # else each child would walk through all of it, at least at its end
        command = _next_command(listener, offspring)
        listener.close()
        if not isinstance(command, str):
            return command
        offspring = {each: other for each, other in offspring.items() if PARENTS[each] == command or each == command}
        kind = command


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, which then end the server
    del os.environ[PADDING]
    path = [entry for entry in sys.path[1:] if entry not in PATH.split(os.pathsep)]
    listeners = {kind: socket.socket(fileno=int(file)) for kind, file in zip(PARENTS, sys.argv[1:], strict=False)}
    wanted = _serve(listeners)
    for each in listeners.values():
        each.close()
    _become(wanted, path)
