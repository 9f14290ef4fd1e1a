"""A stage of the training: steps within a bound of CPU time, that continue where a killed run stopped.

Time is counted in CPU-seconds of this process, over all its runs, so a run that was paused, or that shared its cores,
does as much as one that was not.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch

from training.runs import learning_rate

CHECKPOINT_SECONDS = 120
"""Wall time between two checkpoints."""


class Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class Log:
    """Lines with the time and the CPU-seconds of all runs so far, in ``training.log`` and on the screen."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "training.log"
        self._clock = folder / "cpu-seconds"
        self._before = float(self._clock.read_text()) if self._clock.exists() else 0.0

    @property
    def cpu_seconds(self) -> float:
        children = os.times()  # those that compile
        return self._before + time.process_time() + children.children_user + children.children_system

    def write(self, text: str) -> None:
        line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}  cpu {self.cpu_seconds:7.0f} s  {text}"
        with self._file.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)  # noqa: T201 - the supervisor's own output
        self.keep_time()

    def keep_time(self) -> None:
        write_whole(self._clock, lambda draft: draft.write_text(f"{self.cpu_seconds:.1f}"))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a draft of the file: whenever the process is killed, the file is whole, or the one before."""
    draft = path.with_name(path.name + ".draft")
    write(draft)
    draft.replace(path)


def chance(*names: object) -> random.Random:
    """Random numbers that depend on the names alone: a resumed run draws those of one that was never stopped."""
    return random.Random("/".join(map(str, names)))


class Stage:
    """Numbered steps with checkpoints.

    Args:
        folder: Keeps the checkpoint, ``NAME.pt``.
        parts: What a checkpoint keeps, by name: modules, optimizers, averages.
        steps: How many it takes, unless the CPU time ends before.
        cpu_seconds: The most CPU time of this stage, over all runs.
    """

    def __init__(
        self, name: str, folder: Path, parts: Mapping[str, Stateful], *, steps: int, cpu_seconds: float, log: Log
    ) -> None:
        self.name, self.parts, self.log = name, parts, log
        self.last, self.cpu_limit = steps, cpu_seconds
        self.step = 0
        self.smoothed: dict[str, float] = {}
        self._used_before = 0.0
        self._start = log.cpu_seconds
        self._file = folder / f"{name}.pt"
        folder.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            self._load()

    @property
    def used(self) -> float:
        """CPU-seconds of this stage, over all runs."""
        return self._used_before + self.log.cpu_seconds - self._start

    @property
    def share(self) -> float:
        """How much of the stage is over, 0 to 1: by steps, or by time where that is shorter."""
        return min(1.0, max(self.step / self.last, self.used / self.cpu_limit))

    def run(self) -> Iterator[int]:
        """Yield the number of each step, from 1, and keep checkpoints."""
        kept = time.monotonic()
        while self.share < 1:
            self.step += 1
            torch.manual_seed(_seed(self.name, self.step))
            yield self.step
            if time.monotonic() - kept > CHECKPOINT_SECONDS:
                self.save()
                kept = time.monotonic()
        self.save()

    def rate(self, *, warm_up: int = 100, hold: float = 0.3) -> float:
        """The learning rate of this step as a share of its peak."""
        return learning_rate(self.step, self.share, warm_up=warm_up, hold=hold)

    def report(self, *, every: int = 50, **figures: float) -> None:
        """Smooth the figures of a step; write a line of them to the log now and then."""
        for name, value in figures.items():
            self.smoothed[name] = float(value + 0.98 * (self.smoothed.get(name, value) - value))
        if self.step % every == 0:
            words = "  ".join(f"{name} {value:.4f}" for name, value in self.smoothed.items())
            self.log.write(f"{self.name} step {self.step}  done {self.share:.3f}  {words}")

    def save(self) -> None:
        """Keep everything that the next run needs to continue."""
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        state = {"step": self.step, "used": self.used, "smoothed": self.smoothed, "parts": parts}
        write_whole(self._file, partial(torch.save, state))
        self.log.keep_time()

    def _load(self) -> None:
        kept = torch.load(self._file, weights_only=True)
        self.step, self._used_before, self.smoothed = kept["step"], kept["used"], kept["smoothed"]
        for name, part in self.parts.items():
            part.load_state_dict(kept["parts"][name])
        self.log.write(f"{self.name} continues after step {self.step}")


def _seed(name: str, step: int) -> int:
    return chance(name, step).randrange(2**63)
