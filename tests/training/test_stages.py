"""Stages of a training that is killed, and continues."""

from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from training.stages import Log, Stage, chance


class Toy:
    """A stage that fits a line to random points."""

    def __init__(self, folder: Path, *, steps: int = 20, cpu_seconds: float = 1000) -> None:
        torch.manual_seed(0)
        self.line = nn.Linear(3, 1)
        self.optimizer = torch.optim.AdamW(self.line.parameters(), lr=0.1)
        parts = {"line": self.line, "optimizer": self.optimizer}
        self.stage = Stage("toy", folder, parts, steps=steps, cpu_seconds=cpu_seconds, log=Log(folder))

    def run(self, until: int | None = None) -> Tensor:
        """Take steps, up to one after which the process is killed: what comes after the last checkpoint is lost."""
        for step in islice(self.stage.run(), until):
            self.optimizer.param_groups[0]["lr"] = 0.1 * self.stage.rate(warm_up=2)
            self.optimizer.zero_grad()
            points = torch.randn(8, 3)
            (self.line(points) - points.sum(1, keepdim=True) * chance(step).random()).square().mean().backward()
            self.optimizer.step()
            if step == 5:
                self.stage.save()
        return self.line.weight.detach()


def test_a_killed_run_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    """It starts again from its checkpoint, repeats the steps after it, and has the same weights in the end."""
    undisturbed = Toy(tmp_path / "one").run()
    killed = Toy(tmp_path / "two")
    killed.run(until=9)
    resumed = Toy(tmp_path / "two")

    assert resumed.stage.step == 5
    torch.testing.assert_close(resumed.run(), undisturbed, rtol=0, atol=0)
    assert resumed.stage.step == 20


def test_a_finished_stage_takes_no_more_steps(tmp_path: Path) -> None:
    """A second call finds its weights as they were."""
    weights = Toy(tmp_path).run()
    again = Toy(tmp_path)

    assert list(again.stage.run()) == []
    torch.testing.assert_close(again.line.weight.detach(), weights)


def test_a_stage_ends_with_its_cpu_time(tmp_path: Path) -> None:
    """It counts the time of earlier runs, and its learning rate falls with what is left."""
    first = Toy(tmp_path)
    first.run(until=6)
    later = Toy(tmp_path, cpu_seconds=1e-9)

    assert later.stage.share == 1
    assert list(later.stage.run()) == []
    assert later.stage.rate(warm_up=2) < 0.03
