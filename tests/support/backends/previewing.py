"""The gradient backend, with previews: every image in turn, one colour that tells which step it is of."""

from typing import Any

import numpy as np

from pipelet.engine.backend import GenerationReport, Previews
from tests.support.backends.gradient import Gradient
from tests.support.backends.while_generating.raises import Backend as Raising


class Previewing(Gradient):
    def generate(self, *, previews: Previews, **arguments: Any) -> GenerationReport | None:  # type: ignore[override]
        on_progress, count, first, made = arguments["on_progress"], arguments["count"], arguments["first"], 0

        def report(done: int) -> None:
            nonlocal made
            on_progress(done)
            if done > 1 and previews.is_due:
                index = first + made % count
                previews.show(preview_pixels(index, done - 1), index=index, step=done - 1)
                made += 1

        return super().generate(**arguments | {"on_progress": report})


def preview_pixels(index: int, step: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8, shape (16, 24, 3)."""
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:, :] = (step, index * 60, 128)
    return pixels


class PreviewingOrRaising(Previewing, Raising):  # type: ignore[misc]
    """What `raises` does for some prompts, and previews for others."""
