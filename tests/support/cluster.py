"""Pipelet on many machines, all of them this one: APIs and workers of their own, over one PostgreSQL and one S3 server.

Every process is real. A supervisor starts again what dies, as systemd or Kubernetes would.
"""

import contextlib
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from typing import Self

from tests.support.fork_server import Process
from tests.support.servers import postgres
from tests.support.servers.postgres import Server
from tests.support.servers.s3 import BUCKET, S3Server
from tests.support.service import Service
from tests.support.waiting import eventually

LEASE_SECONDS = 2
PREFIX = "chaos"
_NAME = "WORKER_OF_TEST"
"""Environment variable: tells the engines of one worker from those of another."""


class Worker:
    """A worker that is started again whenever it ends, until `retire`."""

    def __init__(self, service: Service, variables: Mapping[str, str]) -> None:
        self._service = service
        self._name = secrets.token_hex(8)
        self._variables = {**variables, _NAME: self._name}
        self._is_wanted = True
        self._starting = threading.Lock()
        self._process = self._start()

    def _start(self) -> Process:
        return self._service.start_worker(variables=self._variables)

    @property
    def pid(self) -> int:
        return self._process.pid

    def look_after(self) -> None:
        with self._starting:
            if self._is_wanted and self._process.poll() is not None:
                self._process = self._start()

    def engine_pids(self) -> list[int]:
        return self._service.engine_pids(variable=f"{_NAME}={self._name}")

    def send(self, number: Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def restart(self) -> None:
        """Restart as a deployment does: it is asked to stop, finishes what it generates, and another replaces it."""
        stopping = self._process
        self.send(SIGTERM)
        assert stopping.wait(60) == 0
        self.look_after()

    def end(self, number: Signals) -> None:
        """End it with that signal, for good."""
        with self._starting:
            self._is_wanted = False
        self.send(SIGCONT)
        self.send(number)

    def wait(self) -> int:
        return self._process.wait(60)


class Cluster:
    """
    Args:
        folder: for everything that is written.
        skewed: further variables of the first worker, such as those that make its clock wrong.
    """

    def __init__(
        self, folder: Path, *, apis: int = 3, workers: int = 4, skewed: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._exits = contextlib.ExitStack()
        self._numbers = apis, workers
        self._skewed = skewed or {}
        self.apis: list[Service] = []
        self.workers: list[Worker] = []
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            self.database: Server = exits.enter_context(postgres.running())
            self.s3: S3Server = exits.enter_context(S3Server(self.folder / "s3"))
            self.database_url = self.database.new_database()
            apis, workers = self._numbers
            for number in range(apis):
                self.apis.append(exits.enter_context(self._api(number)))
            for number in range(workers):
                self.workers.append(Worker(self.apis[0], self._skewed if number == 0 else {}))
            exits.callback(self._end_workers, SIGKILL)  # where a test has not come to its end
            supervisor = threading.Thread(target=self._supervise)
            supervisor.start()
            exits.callback(supervisor.join)
            exits.callback(self._stopping.set)
            eventually(self._all_are_ready, within=90, why="all workers are ready")
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _api(self, number: int) -> Service:
        settings = {
            "database_url": self.database_url,
            "database_pool_size": "6",
            "blobs_url": f"s3://{BUCKET}/{PREFIX}",
            "lease_seconds": str(LEASE_SECONDS),
            "shutdown_grace_seconds": "5",
            "log_level": "warning",
        }
        folder = self.folder / f"api-{number}"
        return Service(folder, arguments=("--workers", "0"), settings=settings, variables=self.s3.variables())

    def _all_are_ready(self) -> bool:
        ready = [worker for worker in self.apis[0].health()["workers"] if worker["ready"]]
        return len(ready) == self._numbers[1]

    def _supervise(self) -> None:
        while not self._stopping.wait(0.1):
            for worker in self.workers:
                worker.look_after()

    def retire_workers(self) -> None:
        """Ask all to stop, and wait: what they generate is finished first."""
        self._end_workers(SIGTERM)

    def _end_workers(self, number: Signals) -> None:
        for worker in self.workers:
            worker.end(number)
        for worker in self.workers:
            worker.wait()

    def files(self) -> set[str]:
        """The keys of all images on the S3 server."""
        return {key.removeprefix(f"{PREFIX}/") for key in self.s3.keys(f"{PREFIX}/outputs")}
