"""What the API alone needs: time to start, and memory."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cyclopts

from benchmarks.lib import load
from benchmarks.lib.service import Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, load_now, median, show

_MOST_SECONDS = 1.5
_MOST_MB = 120
_BARE = "import fastapi, uvicorn, pydantic_settings, sqlite3"


@dataclass(frozen=True, slots=True)
class Memory:
    idle_mb: float
    used_mb: float
    has_torch: bool


def main(*, starts: int = 5, requests: int = 1000) -> None:
    """
    Parameters
    ----------
    starts
        On a new data directory, and as many on one that exists.
    requests
        Submits and polls, half and half, before memory is looked at again.
    """
    before, first, again, bare = load_now(), [], [], []
    with scratch() as folder:
        for number in range(starts):  # in turns, so that a slow moment slows all three
            first.append(_start(folder / f"new{number}"))
            again.append(_start(folder / "new0"))
            bare.append(_bare())
        memory = _memory(folder / "new0", requests)
    base = median(bare)
    lines = [
        Line("a Python that imports FastAPI and uvicorn, and ends", f"{base:.2f} s"),
        _ready("first start, until it is ready", median(first), base),
        _ready("later start, until it is ready", median(again), base),
        Line(
            "memory, idle",
            f"{memory.idle_mb:.0f} MB",
            "",
            f"≤ {_MOST_MB} MB",
            memory.idle_mb <= _MOST_MB,
            Ratio(memory.idle_mb / _MOST_MB),
        ),
        Line(
            "memory after requests",
            f"{memory.used_mb:.0f} MB",
            f"{memory.used_mb / memory.idle_mb:.2f} times idle, after {requests}",
            f"≤ {_MOST_MB} MB",
            memory.used_mb <= _MOST_MB,
            Ratio(memory.used_mb / memory.idle_mb),
        ),
        Line("libtorch mapped", "yes" if memory.has_torch else "no", "", "no", not memory.has_torch),
    ]
    notes = ["Ready: from the start of the process until /health/ready answers 200. Memory: VmRSS."]
    show(f"Start and memory of the API alone, medians of {starts}", lines, load=before, notes=notes)


def _start(data_dir: Path) -> float:
    began = time.perf_counter()
    with serving(data_dir, workers=0) as service:
        assert _is_ready(service)
        return time.perf_counter() - began


def _is_ready(service: Service) -> bool:
    caller = load.Caller(service.port)
    status, _ = caller(load.request("GET", "/health/ready", service.key))
    caller.close()
    return status == 200


def _bare() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _BARE], check=True)
    return time.perf_counter() - began


def _ready(what: str, seconds: float, base: float) -> Line:
    reference = f"{seconds / base:.1f} times that"
    met = seconds <= _MOST_SECONDS
    return Line(what, f"{seconds:.2f} s", reference, f"≤ {_MOST_SECONDS} s", met, Ratio(seconds / base))


def _memory(data_dir: Path, requests: int) -> Memory:
    with serving(data_dir, workers=0) as service:
        assert _is_ready(service)
        idle = load.resident_bytes(service.pid)
        caller = load.Caller(service.port)
        for _ in range(requests // 2):
            status, body = caller(load.submission(service.key))
            assert status == 200, body
            status, body = caller(load.status(service.key, body["request_id"]))
            assert status == 202, body
        caller.close()
        used, maps = load.resident_bytes(service.pid), Path(f"/proc/{service.pid}/maps").read_text()
        return Memory(idle / 1e6, used / 1e6, "libtorch" in maps)


if __name__ == "__main__":
    cyclopts.run(main)
