"""What every system is asked to do: 50 ms of waiting, as for a GPU, and a PNG of 1 MB.

Runs in the peers' environment, too, where nothing of Pipelet is installed.
"""

import os
import time

import numpy as np

SECONDS = 0.05
SIDE = 592
"""Pixels. Noise does not compress: 592 x 592 x 3 bytes are 1.05 MB."""
STAMPS = "BENCHMARK_STAMPS"
"""Names the file that takes a line for each run: number, begin and end, in seconds since the epoch."""
NOISE = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def generate(number: int) -> bytes:
    """A PNG."""
    import fpng  # Pipelet's backend needs the rest of this module alone: its worker writes the PNG

    began = time.time()
    time.sleep(SECONDS)
    png: bytes = fpng.from_ndarray(NOISE)
    stamp(number, began)
    return png


def stamp(number: int, began: float) -> None:
    with open(os.environ[STAMPS], "a") as stamps:
        stamps.write(f"{number} {began:.6f} {time.time():.6f}\n")
