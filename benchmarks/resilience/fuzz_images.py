"""What damaged image files do to the decoder, and to other users than the one who sends them.

First the decoder alone, in a child process that would die with it; then a real `pipelet serve`, to which one user sends
such files as fast as it takes them, while another submits small images.
"""

import base64
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cyclopts

from benchmarks.lib import load
from benchmarks.lib.mutations import corpus, mutated
from benchmarks.lib.service import Service, scratch, serving
from benchmarks.lib.table import Line, in_ms, load_now, median, show
from pipelet.domain.errors import InvalidImage
from pipelet.services.input_images.decode import decode_image

APP = "z-image-image-edit"
MAX_SECONDS = 10.0
"""Seconds that one file may take. A valid image of 64 megapixels takes some 3 seconds on one core."""
MAX_BYTES = 1024 * 1024 * 1024
"""Memory that the decoder's process may take: 64 megapixels of four bytes, three times, and Python itself."""
_MAX_RATIO = 3.0
_SAMPLES = 60
_AT_ONCE = 2
"""Submits of the user with the damaged files, each with eight of them."""
_CATALOG = "[models.demo]\nmax_input_images = 8\nstrength = 0.0\nedit_pipeline = ''\n"


@dataclass(slots=True)
class Report:
    outcomes: Counter[str] = field(default_factory=Counter)
    """How many files were read, or refused, by kind."""
    lost: list[str] = field(default_factory=list)
    """Files at which the process died or took too long."""
    slowest: float = 0.0
    peak_bytes: int = 0
    seconds: float = 0.0

    @property
    def files(self) -> int:
        return self.outcomes.total() + len(self.lost)


def main(*, inputs: int = 10_000, seed: int = 1, submits: int = 200) -> None:
    """
    Parameters
    ----------
    inputs
        Files for the decoder alone.
    seed
        Chooses the files.
    submits
        To the service, each with eight further files.
    """
    before = load_now()
    report = fuzz(inputs, seed)
    alone, loaded, peak = _under_load(submits, seed + 1) if submits else ([], [], 0)
    lines = [*_lines(report), *(_lines_of_others(alone, loaded, peak, submits) if submits else [])]
    show(f"The picture decoder and {inputs} damaged files (seed {seed})", lines, load=before, notes=report.lost[:10])


def fuzz(inputs: int, seed: int) -> Report:
    report, began = Report(), time.perf_counter()
    decoder = _Decoder()
    for number, data in enumerate(mutated(seed, inputs)):
        answer = decoder.read(data)
        if answer is None:
            report.lost.append(f"file {number}: the decoder {decoder.end()}")
            decoder = _Decoder()
            continue
        outcome, seconds, peak = answer
        report.outcomes[outcome] += 1
        report.slowest = max(report.slowest, seconds)
        report.peak_bytes = max(report.peak_bytes, peak)
    decoder.end()
    report.seconds = time.perf_counter() - began
    return report


class _Decoder:
    """The child process."""

    def __init__(self) -> None:
        child = "from benchmarks.resilience.fuzz_images import decode; decode()"
        command = [sys.executable, "-W", "ignore", "-c", child]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_root())

    def read(self, data: bytes) -> tuple[str, float, int] | None:
        """Outcome, seconds, and the most memory so far; None where none comes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(struct.pack(">I", len(data)) + data)
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        if not select.select([self._process.stdout], [], [], MAX_SECONDS)[0]:
            return None
        line = self._process.stdout.readline()
        return tuple(json.loads(line)) if line else None  # type: ignore[return-value]

    def end(self) -> str:
        """What became of it, in words."""
        code = self._process.poll()
        self._process.kill()
        self._process.communicate()
        return "took too long" if code is None else f"died ({code})"


def _root() -> Path:
    return Path(__file__).parents[2]


def decode() -> None:
    """The child's loop: files on standard input, answers on standard output."""
    while head := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
        began = time.perf_counter()
        try:
            decode_image(data, max_side=4096)
            outcome = "read"
        except InvalidImage as error:
            outcome = error.kind
        # Not `ru_maxrss`, which begins with what the parent had when it started this process.
        peak = _peak_of(os.getpid())
        sys.stdout.write(json.dumps([outcome, time.perf_counter() - began, peak]) + "\n")
        sys.stdout.flush()


def _under_load(submits: int, seed: int) -> tuple[list[float], list[float], int]:
    """Seconds of another user's submits, alone and during damaged files; and the most memory of the service."""
    with scratch() as folder:
        catalog = folder / "catalog.toml"
        catalog.write_text(_CATALOG)
        with serving(folder / "data", workers=0, settings={"PIPELET_CATALOG": str(catalog)}) as service:
            other = service.new_key("bob")
            _submits(service, other, 5)
            alone = _submits(service, other, _SAMPLES)
            files = mutated(seed, submits * 8)
            bodies = [[next(files) for _ in range(8)] for _ in range(submits)]
            senders = [
                threading.Thread(target=_send, args=(service, bodies[number::_AT_ONCE])) for number in range(_AT_ONCE)
            ]
            for sender in senders:
                sender.start()
            loaded = []
            while any(sender.is_alive() for sender in senders):
                loaded += _submits(service, other, 1)
                time.sleep(0.02)
            return alone, loaded, _peak_of(service.pid)


def _submission(key: str, files: Sequence[bytes]) -> bytes:
    urls = [f"data:;base64,{base64.b64encode(data).decode()}" for data in files]
    return load.request("POST", f"/fal/queue/{APP}", key, {"prompt": "a girl", "image_urls": urls})


def _send(service: Service, bodies: Sequence[Sequence[bytes]]) -> None:
    caller = load.Caller(service.port)
    for files in bodies:
        status, _ = caller(_submission(service.key, files))
        assert status in (200, 422), status
    caller.close()


def _submits(service: Service, key: str, count: int) -> list[float]:
    caller, seconds = load.Caller(service.port), []
    raw = _submission(key, [corpus()[1]])
    for _ in range(count):
        began = time.perf_counter()
        status, body = caller(raw)
        seconds.append(time.perf_counter() - began)
        assert status == 200, body
    caller.close()
    return seconds


def _peak_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def _lines(report: Report) -> list[Line]:
    survived = report.outcomes.total()
    read = report.outcomes["read"]
    rate = f"{report.files / report.seconds:.0f} a second"
    peak, most = report.peak_bytes / 1e6, MAX_BYTES / 1e6
    return [
        Line(
            "files that the decoder survived", f"{survived:,}", f"of {report.files:,}, {rate}", "all", not report.lost
        ),
        Line("of these read", f"{read:,}", f"{read / max(survived, 1):.0%}; the others refused, by kind"),
        Line("slowest file", in_ms(report.slowest), "", f"≤ {MAX_SECONDS:.0f} s", report.slowest <= MAX_SECONDS),
        Line("most memory (VmHWM)", f"{peak:.0f} MB", "", f"≤ {most:.0f} MB", report.peak_bytes <= MAX_BYTES),
    ]


def _lines_of_others(alone: Sequence[float], loaded: Sequence[float], peak: int, submits: int) -> list[Line]:
    ratio = median(loaded) / median(alone)
    return [
        Line("another user's submit, alone, p50", in_ms(median(alone))),
        Line(
            f"the same during {submits * 8:,} files, p50",
            in_ms(median(loaded)),
            f"{ratio:.1f} times alone",
            f"≤ {_MAX_RATIO:.0f} times",
            ratio <= _MAX_RATIO,
        ),
        Line("most memory of the service (VmHWM)", f"{peak / 1e6:.0f} MB"),
    ]


if __name__ == "__main__":
    cyclopts.run(main)
