"""The systems that are compared, each started, asked, killed and started again in the same words."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
from tests.support.servers.postgres import Server

from benchmarks.lib import load
from benchmarks.lib.service import APP, ROOT, serving
from benchmarks.peers.handler import SIDE, STAMPS

_START_SECONDS = 90.0
_REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class System(ABC):
    """One of them, with everything it keeps in `folder`."""

    name: str
    most_requests: int | None = None
    """Requests that it can drain within minutes; None for a system that drains any number."""

    def __init__(self, folder: Path, *, workers: int) -> None:
        self.folder = folder
        self.workers = workers
        self.port = 0
        self.stamps = folder / "data.stamps"
        self.pictures = folder / "pictures"
        self.pictures.mkdir(parents=True)
        self._processes: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def start(self) -> None:
        """Start it; after `kill`, on what is left in the folder."""

    @abstractmethod
    def submission(self, number: int) -> bytes: ...

    @abstractmethod
    def id_of(self, answer: Mapping[str, Any]) -> str: ...

    @abstractmethod
    def status(self, request_id: str) -> bytes: ...

    @abstractmethod
    def has_ended(self, answer: Mapping[str, Any]) -> bool:
        """Whether a request has ended with an image."""

    @abstractmethod
    def picture(self, request_id: str) -> bytes | None:
        """None where there is none for the id."""

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        self._kill()

    def kill(self) -> None:
        """Every process at once, with SIGKILL."""
        self._kill()

    def _kill(self, *more: int) -> None:
        _kill_trees([*(process.pid for process in self._processes), *more])
        for process in self._processes:
            process.wait()
        self._processes = []

    def _run(self, *command: str, **environment: str) -> None:
        environment = self._environment() | environment
        with (self.folder / "log").open("ab") as log:
            self._processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder))

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            STAMPS: str(self.stamps),
            "BENCHMARK_PICTURES": str(self.pictures),
            "BENCHMARK_WORKERS": str(self.workers),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
        }

    def _await_port(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start:\n{(self.folder / 'log').read_text()[-3000:]}")

    def _get(self, path: str, headers: Mapping[str, str] | None = None) -> bytes | None:
        url = path if path.startswith("http") else f"http://127.0.0.1:{self.port}{path}"
        answer = httpx.get(url, headers=headers, timeout=60)
        return answer.content if answer.status_code == 200 else None


class Pipelet(System):
    name = "Pipelet, SQLite"

    def __init__(self, folder: Path, *, workers: int) -> None:
        super().__init__(folder, workers=workers)
        self._running = contextlib.ExitStack()
        self._main = 0
        self._key = ""

    def start(self) -> None:
        service = self._running.enter_context(
            serving(
                self.folder / "data",
                workers=self.workers,
                backend="benchmarks.lib.backends:StampedNoise",
                settings=self._settings(),
            )
        )
        self.port, self._main = service.port, service.pid
        self._key = self._key or service.key

    def _settings(self) -> dict[str, str]:
        return {}

    def stop(self) -> None:
        self._running.close()

    def kill(self) -> None:
        _kill_trees([self._main])
        self._running.close()

    def submission(self, number: int) -> bytes:
        return load.submission(self._key, width=SIDE, height=SIDE, seed=number)

    def id_of(self, answer: Mapping[str, Any]) -> str:
        return str(answer["request_id"])

    def status(self, request_id: str) -> bytes:
        return load.status(self._key, request_id)

    def has_ended(self, answer: Mapping[str, Any]) -> bool:
        return answer["status"] == "COMPLETED" and "error" not in answer

    def picture(self, request_id: str) -> bytes | None:
        result = self._get(f"/fal/queue/{APP}/requests/{request_id}", {"Authorization": f"Bearer {self._key}"})
        return None if result is None else self._get(json.loads(result)["images"][0]["url"])


class PipeletOnPostgres(Pipelet):
    name = "Pipelet, PostgreSQL"

    def __init__(self, folder: Path, *, workers: int) -> None:
        super().__init__(folder, workers=workers)
        self._database = Database(folder)

    def start(self) -> None:
        self._database.start()
        super().start()

    def _settings(self) -> dict[str, str]:
        return {"PIPELET_DATABASE_URL": self._database.url}

    def stop(self) -> None:
        super().stop()
        self._database.stop()

    def kill(self) -> None:
        _kill_trees([self._main, self._database.pid])
        super().kill()


class Peer(System):
    """A system with a front of our own, in an environment of its own."""

    def _python(self) -> str:
        return str(peers_environment() / "bin" / "python")

    def submission(self, number: int) -> bytes:
        return load.request("POST", "/pictures", "", {"number": number})

    def id_of(self, answer: Mapping[str, Any]) -> str:
        return str(answer["id"])

    def status(self, request_id: str) -> bytes:
        return load.request("GET", f"/pictures/{request_id}/status", "")

    def has_ended(self, answer: Mapping[str, Any]) -> bool:
        return answer.get("status") == "SUCCESS"

    def picture(self, request_id: str) -> bytes | None:
        return self._get(f"/pictures/{request_id}")


class Bentoml(Peer):
    name = "BentoML tasks"
    most_requests = 1_000  # 10,000 take it more than an hour

    def start(self) -> None:
        self.port = _free_port()
        home = {"BENTOML_HOME": str(self.folder / "home"), "BENTOML_DO_NOT_TRACK": "True"}
        service = "benchmarks.peers.bentoml_tasks:Pictures"
        place = ("--host", "127.0.0.1", "--port", str(self.port), "--working-dir", str(ROOT))
        self._run(self._python(), "-m", "bentoml", "serve", service, *place, **home)
        self._await_port()

    def submission(self, number: int) -> bytes:
        return load.request("POST", "/generate/submit", "", {"number": number})

    def id_of(self, answer: Mapping[str, Any]) -> str:
        return str(answer["task_id"])

    def status(self, request_id: str) -> bytes:
        return load.request("GET", f"/generate/status?task_id={request_id}", "")

    def has_ended(self, answer: Mapping[str, Any]) -> bool:
        return answer.get("status") == "completed"

    def picture(self, request_id: str) -> bytes | None:
        return self._get(f"/generate/get?task_id={request_id}")


class Celery(Peer):
    name = "Celery, Redis"
    redis_options: tuple[str, ...] = ()

    def __init__(self, folder: Path, *, workers: int) -> None:
        super().__init__(folder, workers=workers)
        self._redis_port = _free_port()

    def start(self) -> None:
        self.port = _free_port()
        redis = {"BENCHMARK_REDIS": f"redis://127.0.0.1:{self._redis_port}/0"}
        self._run(_redis_server(), "--port", str(self._redis_port), "--dir", str(self.folder), *self.redis_options)
        app = "benchmarks.peers.celery_front"
        command = ("-m", "celery", "-A", f"{app}:queue", "worker", "--concurrency", str(self.workers), "-l", "WARNING")
        self._run(self._python(), *command, **redis)
        place = ("--port", str(self.port), "--log-level", "warning")
        self._run(self._python(), "-m", "uvicorn", f"{app}:front", *place, **redis)
        self._await_port()


class CeleryDurable(Celery):
    name = "Celery, Redis appendonly"
    redis_options = ("--appendonly", "yes")


class Dbos(Peer):
    name = "DBOS, PostgreSQL"

    def __init__(self, folder: Path, *, workers: int) -> None:
        super().__init__(folder, workers=workers)
        self._database = Database(folder)

    def start(self) -> None:
        self._database.start()
        self.port = _free_port()
        command = ("-m", "benchmarks.peers.dbos_front", str(self.port))
        self._run(self._python(), *command, BENCHMARK_DATABASE=self._database.url)
        self._await_port()

    def stop(self) -> None:
        super().stop()
        self._database.stop()

    def kill(self) -> None:
        self._kill(self._database.pid)


ALL: tuple[type[System], ...] = (Pipelet, PipeletOnPostgres, Bentoml, Celery, CeleryDurable, Dbos)


class Database:
    """A PostgreSQL server of its own, with what it has in `folder`, and as it comes: every commit is durable."""

    def __init__(self, folder: Path) -> None:
        place = folder / "postgres"
        place.mkdir()
        self._server = Server(place, options="-c max_connections=200")
        self.is_running = False
        self.url = ""

    @property
    def pid(self) -> int:
        return int((self._server.folder / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        self._server.start()
        self.is_running = True
        self.url = self.url or self._server.new_database()

    def stop(self) -> None:
        if self.is_running:
            self._server.stop()
        self.is_running = False


def peers_environment() -> Path:
    """A virtual environment with the peers in it, made at first use next to our own."""
    folder = ROOT / ".venv-peers"
    if not (folder / "complete").exists():
        print(f"Installing the peers into {folder.name}.", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(_REQUIREMENTS)]
        subprocess.run(pip, check=True)
        (folder / "complete").touch()
    return folder


def _redis_server() -> str:
    found = shutil.which("redis-server")
    if found is None:
        sys.exit(
            "There is no redis-server in PATH. Install it (Debian: apt install redis-server), or leave Celery out."
        )
    return found


def _kill_trees(roots: list[int]) -> None:
    processes = []
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            processes += [process, *process.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
