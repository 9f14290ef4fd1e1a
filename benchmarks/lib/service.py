"""A real `pipelet serve` in a folder of its own, for the length of a benchmark."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import fork_server

ROOT = Path(__file__).parents[2]
APP = "z-image-text-to-image"
USER = "local"
"""The user of each service's key."""
STAMPS = "BENCHMARK_STAMPS"
"""Names the file that the backends of `benchmarks.lib.backends` write to."""
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running one."""

    port: int
    pid: int
    key: str
    data_dir: Path
    seconds_to_listen: float
    """Seconds from the start of the process until it said that it listens."""

    @property
    def database(self) -> Path:
        return self.data_dir / "pipelet.sqlite"

    def new_key(self, user: str) -> str:
        """Create a key of another user than `USER`, with every scope and no limits, on the embedded database."""
        return self._new_key(user, "--admin")

    def new_limited_key(self, user: str, defaults: Mapping[str, str]) -> str:
        """Create a key of another user with the limits of `defaults`, which are settings."""
        return self._new_key(user, settings=defaults)

    def _new_key(self, user: str, *flags: str, settings: Mapping[str, str] | None = None) -> str:
        return _create_key(_environment(self.data_dir, 0, None) | dict(settings or {}), user, *flags)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards, on the disk of TMPDIR: point that at a real one, or commits cost nothing."""
    with tempfile.TemporaryDirectory(prefix="pipelet-benchmark-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def serving(
    data_dir: Path,
    *,
    workers: int = 1,
    backend: str | None = None,
    settings: Mapping[str, str] | None = None,
    command: Sequence[str] = ("-m", "pipelet", "serve"),
) -> Iterator[Service]:
    """Start the service on a free port, and stop it afterwards as an operator would.

    Args:
        backend: `module:Class` that generates; None for the demo model.
        settings: more `PIPELET_*` variables.
        command: what to run instead of `pipelet serve`; it has to greet as that does.
    """
    environment = _environment(data_dir, workers, backend) | dict(settings or {})
    with (data_dir.parent / f"{data_dir.name}.log").open("w+") as log:
        began = time.perf_counter()
        process = _start(command, environment, data_dir.parent, log.fileno(), log.fileno())
        try:
            port, seconds = _await_greeting(process, Path(log.name), began)
            yield Service(
                port=port,
                pid=process.pid,
                key=_key(data_dir, environment),
                data_dir=data_dir,
                seconds_to_listen=seconds,
            )
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def api_alone(*, postgres: bool) -> Iterator[tuple[Service, str]]:
    """Start an API without workers on a new database; yield it, and the URL of its PostgreSQL, empty without one."""
    # Imported only here: engines that are measured import this module.
    from tests.support import databases
    from tests.support.servers import postgres as postgres_server

    with contextlib.ExitStack() as exits:
        folder = exits.enter_context(scratch())
        url = databases.new_postgres_url(exits.enter_context(postgres_server.running())) if postgres else ""
        settings = {"PIPELET_DATABASE_URL": url} if url else {}
        yield exits.enter_context(serving(folder / "data", workers=0, settings=settings)), url


def _start(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, stdout: int, stderr: int
) -> fork_server.Process:
    if fork_server.ADDRESS in os.environ:  # a test asks whether the benchmark runs, not how fast
        _, module, *arguments = command
        return fork_server.start(arguments, cwd=folder, env=environment, stdout=stdout, stderr=stderr, module=module)
    return subprocess.Popen([sys.executable, *command], env=environment, stdout=stdout, stderr=stderr, cwd=folder)


def _key(data_dir: Path, environment: Mapping[str, str]) -> str:
    """Return the key of the user `USER`; on PostgreSQL the service makes none, so create it."""
    file = data_dir / "local-key"
    if file.exists():
        return file.read_text().strip()
    return _create_key(environment, USER, "--user", USER, "--admin")


def _create_key(environment: Mapping[str, str], *arguments: str) -> str:
    """Call `pipelet keys create`."""
    with tempfile.TemporaryFile("w+") as printed:
        command = ("-m", "pipelet", "keys", "create", *arguments)
        code = _start(command, environment, ROOT, printed.fileno(), sys.stderr.fileno()).wait(_START_SECONDS)
        if code:
            raise RuntimeError(f"pipelet keys create ended with {code}.")
        printed.seek(0)
        return printed.read().strip()


def _environment(data_dir: Path, workers: int, backend: str | None) -> dict[str, str]:
    # What is set for another service must not reach this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIPELET_")}
    environment |= {
        "PIPELET_DATA_DIR": str(data_dir),
        "PIPELET_PORT": "0",
        "PIPELET_WORKERS": str(workers),
        "PIPELET_DEVICE": "cpu",
        "PIPELET_LOG_FORMAT": "json",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "PYTHONUNBUFFERED": "1",
        STAMPS: str(data_dir.parent / f"{data_dir.name}.stamps"),
    }
    data_dir.mkdir(exist_ok=True)
    if backend is not None:
        catalog = data_dir.parent / f"{data_dir.name}.toml"
        catalog.write_text(f'[models.painted]\nsource = "package:demo"\nbackend = "{backend}"\n')
        environment |= {"PIPELET_CATALOG": str(catalog), "PIPELET_MODEL": "painted"}
    return environment


def _await_greeting(process: fork_server.Process, log: Path, began: float) -> tuple[int, float]:
    """The port, and the seconds until it was said."""
    while time.perf_counter() - began < _START_SECONDS and process.poll() is None:
        for line in log.read_text().splitlines(keepends=True):
            if '"api.ready"' in line and line.endswith("\n"):
                return int(json.loads(line)["url"].rpartition(":")[2]), time.perf_counter() - began
        time.sleep(0.002)
    raise RuntimeError(f"The service did not start:\n{log.read_text()}")
