"""A real `pipelet serve` in processes of its own, for the tests that look at Pipelet from outside."""

import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TextIO

import pytest

from tests.support import fork_server, processes
from tests.support.databases import empty_sqlite
from tests.support.fork_server.children import WITH_TORCH
from tests.support.jobs import APP
from tests.support.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
_MARK = "SERVICE_OF_TEST"
GRADIENT = "tests.support.backends.gradient:Gradient"
_CATALOG = """
[models.gradient]
source = "none"
backend = "{backend}"
num_inference_steps = 8
"""


def environment(variables: Mapping[str, str] | None = None, **settings: str) -> dict[str, str]:
    """Return the environment of a process that finds Pipelet and the tests, with no other settings than `settings`.

    `settings` are named in any case, without `PIPELET_`; `variables` are others, by their whole names.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PIPELET_")}
    path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])
    given = {f"PIPELET_{name.upper()}": value for name, value in settings.items()}
    return inherited | {"PYTHONPATH": path, "COLUMNS": "200"} | given | dict(variables or {})


def pipelet(
    *arguments: str, cwd: Path, timeout: float = 60, variables: Mapping[str, str] | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    env = environment(variables, **settings)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = fork_server.start(arguments, cwd=cwd, env=env, stdout=out.fileno(), stderr=errors.fileno())
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(["pipelet", *arguments], code, out.read(), errors.read())


class Service:
    """`pipelet serve` on a data directory in `folder`, generating with the fast gradient backend unless settings say
    else.

    It may be stopped or killed, and started again: it then takes the same port and the same data directory. Leaving the
    `with` block ends every process that it or its children started, and fails where one survived a polite stop.

    Attributes:
        port: it listens there once it has been started; 0 before.

    Args:
        folder: for the data directory, the catalog and the log.
        arguments: further ones for `pipelet serve`.
        backend: what generates, `module:Class`.
        catalog: further fields of its model's entry, and further entries.
        settings: by name without `PIPELET_`, in any case; they also apply to `run`. A model among them needs torch.
        variables: others of the environment, by their whole names; they do, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        arguments: Sequence[str] = (),
        backend: str = GRADIENT,
        catalog: str = "",
        settings: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.log_file = folder / "service.log"
        self.process: fork_server.Process | None = None
        self._arguments = arguments
        self._output: TextIO | None = None
        self._workers: list[fork_server.Process] = []
        with_torch = {WITH_TORCH: "1"} if settings and settings.get("model") else {}
        self.variables = with_torch | dict(variables or {})
        self._token = secrets.token_hex(8)
        self.port = 0
        folder.mkdir(parents=True, exist_ok=True)
        catalog_file = folder / "catalog.toml"
        catalog_file.write_text(_CATALOG.format(backend=backend) + catalog)
        self.settings = {"data_dir": str(self.data_dir), "catalog": str(catalog_file), "model": "gradient"} | {
            name.lower(): value for name, value in (settings or {}).items()
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
            eventually(lambda: not self.pids(), within=10, why=self._left_over)
        finally:
            self.kill()

    def _left_over(self) -> str:
        return f"nothing is left after a stop; there is {[*map(processes.arguments, self.pids())]}\n{self.log()}"

    def start(self, *, within: float = 60.0) -> None:
        """Returns when it listens; see `wait_for_worker`."""
        if "database_url" not in self.settings and not self.data_dir.exists() and self.data_dir.parent.exists():
            # To make the tables is a third of a first start. That they are made is seen by the tests of the demo.
            self.data_dir.mkdir(mode=0o700)
            (self.data_dir / "pipelet.sqlite").write_bytes(empty_sqlite())
        reading, writing = os.pipe()
        self._output = open(reading)  # noqa: SIM115 - it is closed when the process has ended
        self.process = self._start("serve", "--port", str(self.port), *self._arguments, stdout=writing)
        os.close(writing)
        line = _first_line(self._output, self.process, within)
        if not line.startswith("Pipelet listens on "):
            self.kill()
            pytest.fail(f"The service did not start: {line!r}\n{self.log()}")
        self.url = line.split()[3]
        self.port = int(self.url.rpartition(":")[2])

    def start_worker(self, *arguments: str, variables: Mapping[str, str] | None = None) -> fork_server.Process:
        """One more worker, as on another machine; it ends with the service. `variables` are its own."""
        worker = self._start("worker", *arguments, variables=variables)
        self._workers.append(worker)
        return worker

    def _start(
        self, *arguments: str, stdout: int | None = None, variables: Mapping[str, str] | None = None
    ) -> fork_server.Process:
        env = environment({**self.variables, **(variables or {})}, **self.settings) | {_MARK: self._token}
        with self.log_file.open("a") as log:
            stdout = log.fileno() if stdout is None else stdout
            return fork_server.start(arguments, cwd=self.folder, env=env, stdout=stdout, stderr=log.fileno())

    def stop(self, *, within: float = 60.0) -> int:
        """Ask it to end; return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            pytest.fail(f"The service did not stop within {within:g} s.\n{self.log()}")
        finally:
            self._release()

    def kill(self) -> None:
        """`kill -9` for every process, and wait until all are gone."""
        kill_any(self.pids())
        if self.process is not None:
            self.process.wait(10)
            self._release()
        eventually(lambda: not self.pids(), why="the killed processes are gone")

    def kill_main(self) -> None:
        """`kill -9` for the first process alone: its workers have to notice."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self._release()

    def _release(self) -> None:
        if self._output is not None:
            self._output.close()
        self.process = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def pids(self) -> list[int]:
        """All living processes of this service: those that we started, and all that have inherited our mark."""
        started = _pids_of(self.process, *self._workers)
        return [*started, *(set(processes.marked(f"{_MARK}={self._token}")) - set(started))]

    def worker_pids(self) -> list[int]:
        started = _pids_of(*self._workers)
        return [pid for pid in self.pids() if pid in started or b"worker" in processes.arguments(pid)]

    def engine_pids(self, *, variable: str = "") -> list[int]:
        """All, or those of workers that were started with a `variable`, as `NAME=value`."""
        pids = processes.marked(variable) if variable else self.pids()
        return [pid for pid in pids if b"pipelet.engine.child" in processes.arguments(pid)]

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The engine stands still inside: what is submitted begins, and does not end."""
        with stopped(self.engine_pids()):
            yield

    @property
    def key(self) -> str:
        """The key of the user `local`. On PostgreSQL it is made as the service advises."""
        file = self.data_dir / "local-key"
        if not file.exists():
            made = self.run("keys", "create", "local", "--user", "local", "--admin")
            assert 0 == made.returncode, made.stderr
            file.write_text(made.stdout)
            file.chmod(0o600)
        return file.read_text().strip()

    def printed(self, last: str) -> list[str]:
        """The lines that it printed after its first, up to one that contains `last`."""
        assert self._output is not None
        lines = [""]
        while last not in lines[-1]:
            lines.append(self._output.readline())
            assert lines[-1], lines
        return lines[1:]

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def lines(self, event: str = "", *, request_id: str = "") -> list[dict[str, Any]]:
        """Return lines of the log, without one that is just being written: all, or those of an event or a request."""
        found = [json.loads(line) for line in self.log().rpartition("\n")[0].splitlines()]
        about = [line for line in found if request_id in ("", line.get("request_id"))]
        return [line for line in about if event in ("", line["event"])]

    def wait_for_worker(self, app: str = APP, *, within: float = 60.0) -> None:
        """Wait until a worker has loaded the model of this app."""

        def is_ready() -> bool:
            return any(worker["ready"] and app in worker["apps"] for worker in self.health()["workers"])

        eventually(is_ready, within=within, why=self.log())

    def health(self) -> dict[str, Any]:
        return dict(self.call("GET", "/health/ready")[1])

    def call(self, method: str, path: str, body: bytes | dict[str, Any] | None = None, *, key: str = "") -> Any:
        """Status code and parsed body of one request under our own key, or under `key`."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        url = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(url, data, method=method)
        request.add_header("Authorization", f"Bearer {key or self.key}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def submit(self, prompt: str, *, app: str = APP, **fields: Any) -> str:
        """The id of a small request."""
        small = {"prompt": prompt, "width": 64, "height": 64}
        code, body = self.call("POST", f"/fal/queue/{app}", small | fields)
        assert code == 200, body
        return str(body["request_id"])

    def submit_until_refused(self) -> list[str]:
        """Ids of what was accepted: databases have some room of their own on a full disk."""
        accepted: list[str] = []
        while True:
            prompt = random.Random(len(accepted)).randbytes(1500).hex()  # nothing that could be made smaller
            code, body = self.call("POST", f"/fal/queue/{APP}", {"prompt": prompt, "width": 64, "height": 64})
            if code != 200:
                assert (503, True) == (code, "again" in body["message"])
                return accepted
            accepted.append(str(body["request_id"]))

    def status(self, request_id: str) -> dict[str, Any]:
        code, body = self.call("GET", f"/fal/queue/{APP}/requests/{request_id}/status")
        assert code in (200, 202), body
        return dict(body)

    def wait(self, request_id: str, *, status: str = "COMPLETED", within: float = 60.0) -> dict[str, Any]:
        """Its status, once that is `status`."""

        def reached() -> dict[str, Any] | None:
            found = self.status(request_id)
            return found if found["status"] == status else None

        return dict(eventually(reached, within=within, why=f"{request_id} is {status}"))

    def result(self, request_id: str, *, app: str = APP, within: float = 60.0) -> dict[str, Any]:
        """Once it has ended, with images."""
        self.wait(request_id, within=within)
        code, body = self.call("GET", f"/fal/queue/{app}/requests/{request_id}")
        assert code == 200, body
        return dict(body)

    def run(self, *arguments: str, timeout: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the command line against this service."""
        here = {**self.settings, "api_url": self.url, **settings}
        return pipelet(*arguments, cwd=self.folder, timeout=timeout, variables=self.variables, **here)


def _first_line(output: TextIO, process: fork_server.Process, within: float) -> str:
    """Empty where the process ended without one. A process that says nothing is killed."""
    timer = threading.Timer(within, process.kill)
    timer.start()
    try:
        return output.readline()
    finally:
        timer.cancel()


def _pids_of(*processes: fork_server.Process | None) -> list[int]:
    """Return the ids of the processes that live."""
    return [process.pid for process in processes if process is not None and process.poll() is None]


@contextlib.contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """These processes stand still inside."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it was killed inside
                os.kill(pid, signal.SIGCONT)


def kill_any(pids: Sequence[int]) -> None:
    """`kill -9` for those that are there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
