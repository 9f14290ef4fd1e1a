"""The checkpoint of `benchmarks.gpu`, and what its arithmetic would take: with torch, in processes of their own."""

import json
import time
from pathlib import Path

import torch

from benchmarks.gpu.random_z_image import SCALES, forward_flops, make_checkpoint
from pipelet.domain.generation.sizes import Size

_SIDES = {"cuda": 8192, "cpu": 1024}
_WARM_UPS, _PRODUCTS = 3, 10


def prepare(model: str, scale: str, device: str) -> float:
    """Write the checkpoint, and return the floating-point operations a second of a large matrix product."""
    make_checkpoint(Path(model), SCALES[scale], torch.device(device))
    return _rate(torch.device(device))


def flops(scale: str, sizes: tuple[str, ...], prompt: str) -> str:
    """The operations of one step of one image, by size, as JSON."""
    parsed = map(Size.parse, sizes)
    return json.dumps([forward_flops(SCALES[scale], size.width, size.height, len(prompt.split())) for size in parsed])


def _rate(device: torch.device) -> float:
    side = _SIDES[device.type]
    factor = torch.randn(side, side, dtype=torch.bfloat16, device=device)
    seconds = []
    for _ in range(_WARM_UPS + _PRODUCTS):
        began = time.perf_counter()
        (factor @ factor)[0, 0].item()  # a value on the host: the product is waited for
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 * _PRODUCTS / sum(seconds[_WARM_UPS:])
