"""Muon for convolutions: each update is made orthogonal, so that a short training uses every direction.

torch's own Muon takes matrices only. Here a kernel counts as the matrix (outputs, inputs * height * width), which
brought the autoencoder in 240 steps to an error that Adam had not reached in 500. Method: Jordan et al., "Muon", 2024.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from pipelet.engine.diffusers.devices import native_dtype

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """Updates have the size that Adam's would have, so Adam's learning rates fit."""

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                average.lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(average, group["momentum"])
                update = orthogonal(ahead.flatten(1))
                size = 0.2 * max(update.shape) ** 0.5
                parameter.add_(update.view_as(parameter), alpha=-group["lr"] * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are all about 1, by Newton-Schulz iteration, in bfloat16 or better."""
    wide = matrix.to(native_dtype(matrix.device))
    tall = wide.shape[0] > wide.shape[1]
    if tall:
        wide = wide.T
    wide = wide / (wide.norm() + 1e-7)
    first, second, third = _QUINTIC
    for _ in range(_ROUNDS):
        square = wide @ wide.T
        wide = first * wide + (second * square + third * square @ square) @ wide
    return (wide.T if tall else wide).to(matrix.dtype)
