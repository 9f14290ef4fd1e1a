"""A well-behaved painter without torch: smooth colours that depend on prompt, seed and size.

A prompt may hold `sleep=0.05` (seconds a step takes) and `load` is immediate, so that tests of other rooms have a real
and fast engine: `painter="tests.engine.zoo.gradient:Gradient"`.
"""

import re
import time
import zlib

import numpy as np

from pipelet.domain.errors import DrawCancelled

_SLEEP = re.compile(r"\bsleep=([0-9.]+)")


class Gradient:
    device = "cpu"

    @classmethod
    def load(cls, *, model, source, device, threads):
        return cls()

    def draw(self, *, spec, first, count, out, on_task, is_cancelled):
        pause = float(match[1]) if (match := _SLEEP.search(spec.prompt)) else 0.0
        on_task(1)
        for step in range(spec.num_inference_steps):
            self.step(pause, is_cancelled)
            on_task(step + 2)
        for k in range(count):
            out[k] = picture(spec, spec.seed + first + k)
        on_task(spec.num_inference_steps + 2)

    def step(self, pause, is_cancelled):
        if is_cancelled():
            raise DrawCancelled("Told to stop.")
        time.sleep(pause)


def picture(spec, seed):
    """uint8, shape (height, width, 3)."""
    random = np.random.default_rng([zlib.crc32(spec.prompt.encode("utf-8", "surrogatepass")), seed])
    a, b, c = random.uniform(0.5, 3.0, (3, 3))
    y, x = np.mgrid[0 : spec.height, 0 : spec.width].astype(np.float32)
    waves = np.sin(a * x[..., None] / spec.width * 6 + b * y[..., None] / spec.height * 6 + c * 2)
    return (waves * 127 + 128).astype(np.uint8)
