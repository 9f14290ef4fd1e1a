"""A well-behaved backend without torch: smooth colours that depend on prompt, seed and size.

An edit shows its input images above the colours. A prompt may hold `sleep=0.05` (seconds a step takes), and `load` is
immediate: tests of other packages have a real, fast engine with
`backend="tests.support.backends.gradient:Gradient"`.
Its safety checker flags the images with odd seeds.
"""

import re
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import GenerationCancelled
from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.generation.plan import plan_generation
from pipelet.engine.backend import GenerationReport

Pixels = NDArray[np.uint8]
_SLEEP = re.compile(r"\bsleep=([0-9.]+)")


class Gradient:
    device = "cpu"
    model: ModelConfig

    @classmethod
    def load(cls, *, model: ModelConfig, **_: Any) -> Self:
        backend = cls()
        backend.model = model
        return backend

    def generate(
        self,
        *,
        spec: ImageSpec,
        first: int,
        count: int,
        input_images: Sequence[Pixels],
        out: Pixels,
        on_progress: Callable[[int], None],
        is_cancelled: Callable[[], bool],
    ) -> GenerationReport | None:
        pause = float(match[1]) if (match := _SLEEP.search(spec.prompt)) else 0.0
        before, steps = (2 if input_images else 1), plan_generation(spec, self.model).denoise_steps
        for task in range(before):
            on_progress(task + 1)
        for step in range(steps):
            self.step(pause, is_cancelled)
            on_progress(before + step + 1)
        for k in range(count):
            out[k] = gradient_image(spec, spec.seed + first + k)
            show(input_images, out[k])
        on_progress(before + steps + 1)
        return GenerationReport(has_nsfw_concepts=tuple(bool((spec.seed + first + k) % 2) for k in range(count)))

    def step(self, pause: float, is_cancelled: Callable[[], bool]) -> None:
        if is_cancelled():
            raise GenerationCancelled("Told to stop.")
        time.sleep(pause)


def show(input_images: Sequence[Pixels], pixels: Pixels) -> None:
    """Paint input images in their order, as adjacent stripes, over the upper half."""
    height, width = pixels.shape[:2]
    for number, image in enumerate(input_images):
        left, right = (width * edge // len(input_images) for edge in (number, number + 1))
        rows = np.arange(height // 2) * image.shape[0] // (height // 2)
        columns = np.arange(right - left) * image.shape[1] // (right - left)
        pixels[: height // 2, left:right] = image[rows][:, columns]


def gradient_image(spec: ImageSpec, seed: int) -> Pixels:
    """uint8, shape (height, width, 3)."""
    random = np.random.default_rng([zlib.crc32(spec.prompt.encode("utf-8", "surrogatepass")), seed])
    a, b, c = random.uniform(0.5, 3.0, (3, 3))
    y, x = np.mgrid[0 : spec.height, 0 : spec.width].astype(np.float32)
    waves = np.sin(a * x[..., None] / spec.width * 6 + b * y[..., None] / spec.height * 6 + c * 2)
    return (waves * 127 + 128).astype(np.uint8)
