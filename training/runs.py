"""What every training run needs: its length, its learning rate, its log, and averaged weights."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pipelet.engine.diffusers.devices import native_dtype


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def halved(where: torch.device) -> torch.autocast:
    """Inside of it, what can be is computed in half the bits, if the device gains by that."""
    return torch.autocast(where.type, torch.bfloat16, enabled=native_dtype(where) is torch.bfloat16)


def learning_rate(step: int, share: float, *, warm_up: int = 100, hold: float = 0.3) -> float:
    """The learning rate as a share of its peak: up at once, held for a while, then down along a cosine to 2 %.

    Args:
        share: How much of the training is over, 0 to 1.
    """
    falling = max(0.0, share - hold) / (1 - hold)
    return min(1.0, step / warm_up) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, falling))))


class Run:
    """A run of so many minutes of wall time: numbered steps, with a bar and a log.

    Time spent stopped (SIGSTOP, a suspended machine) counts, so a run ends when it was told to.
    """

    def __init__(self, log: Path, minutes: float) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self.seconds = minutes * 60
        self.smoothed: dict[str, float] = {}
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True)
        )

    def steps(self) -> Iterator[tuple[int, float]]:
        """Yield the step's number, from 1, and the share of the time that has gone."""
        start = time.monotonic()
        step = 0
        with self._progress:
            self._bar = self._progress.add_task(self.log.parent.name, total=self.seconds)
            while (gone := time.monotonic() - start) < self.seconds:
                step += 1
                self._progress.update(self._bar, completed=gone)
                yield step, gone / self.seconds
                self._gone = gone

    def report(self, step: int, *, every: int = 50, **figures: float) -> None:
        """Smooth the figures of a step; write a line of them to the log now and then."""
        for name, value in figures.items():
            self.smoothed[name] = value + 0.98 * (self.smoothed.get(name, value) - value)
        if step % every == 0:
            words = "  ".join(f"{name} {value:.5f}" for name, value in self.smoothed.items())
            line = f"step {step}  minutes {self._gone / 60:.1f}  cpu {time.process_time():.0f} s  {words}"
            with self.log.open("a") as file:
                file.write(line + "\n")
            self._progress.update(self._bar, description=words)


class Average:
    """A running average of a module's weights, which draws better than the weights themselves."""

    def __init__(self, module: torch.nn.Module, decay: float, every: int = 4) -> None:
        self.module, self.decay, self.every = module, decay, every
        self.updates = 0
        self.weights = [parameter.detach().clone() for parameter in module.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        if self.updates % self.every == 0:
            turns = self.updates // self.every
            decay = min(self.decay, (1 + turns) / (10 + turns))  # at first the average must follow quickly
            torch._foreach_lerp_(self.weights, list(self.module.parameters()), 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.weights = [weight.clone() for weight in state["weights"]]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module with the averaged weights, for a while."""
        own = [parameter.detach().clone() for parameter in self.module.parameters()]
        try:
            self.put()
            yield
        finally:
            self._put(own)

    def put(self) -> None:
        """Give the module the averaged weights for good."""
        self._put(self.weights)

    @torch.no_grad()
    def _put(self, weights: list[torch.Tensor]) -> None:
        for parameter, weight in zip(self.module.parameters(), weights, strict=True):
            parameter.copy_(weight)
