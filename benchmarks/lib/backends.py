"""A quick backend that notes when a generation begins and ends. It runs in the engine's child process."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.backends.gradient import Gradient

from benchmarks.lib.service import STAMPS
from benchmarks.peers import handler


class Stamping:
    """Laid over a backend. A line for each generation: seed, begin and end, in seconds since the epoch."""

    def generate(self, *, spec: Any, **rest: Any) -> None:
        began = time.time()
        super().generate(spec=spec, **rest)  # type: ignore[misc]
        with open(os.environ[STAMPS], "a") as stamps:
            stamps.write(f"{spec.seed} {began:.6f} {time.time():.6f}\n")


class StampedGradient(Stamping, Gradient):
    pass


class Noise(Gradient):
    """What the peers do in `peers/handler.py`, where the worker writes the PNG."""

    def generate(self, *, spec: Any, out: Any, on_progress: Any, **rest: Any) -> None:
        on_progress(1)
        time.sleep(handler.SECONDS)
        out[:] = handler.NOISE
        on_progress(spec.num_inference_steps + 2)


class StampedNoise(Stamping, Noise):
    pass


@dataclass(frozen=True, slots=True)
class Stamp:
    seed: int
    began: float
    ended: float


def stamps_of(data_dir: Path) -> list[Stamp]:
    """Return what the backend of the service in `data_dir` has noted, in the order of generation."""
    file = data_dir.parent / f"{data_dir.name}.stamps"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    stamps = []
    for line in lines:
        if line.endswith("\n"):
            seed, began, ended = line.split()
            stamps.append(Stamp(int(seed), float(began), float(ended)))
    return stamps
