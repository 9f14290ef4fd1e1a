"""Pixels of the size a model draws to pixels of the size that was asked for, and the way back.

Here and not in the engine's process: its device must not wait for this, and small pictures are quicker to hand over.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelet.domain.sizes import Size


def resample(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Scale `pixels`, shape (height, width, 3), until they cover `size`, and cut off what sticks out, evenly."""
    height, width = pixels.shape[:2]
    if (width, height) == (size.width, size.height):
        return pixels
    scale = max(size.width / width, size.height / height)
    left, top = max(0, width - size.width / scale) / 2, max(0, height - size.height / scale) / 2
    visible = (left, top, width - left, height - top)
    target = (size.width, size.height)
    return np.asarray(Image.fromarray(pixels).resize(target, Image.Resampling.LANCZOS, box=visible))


def placed(pixels: NDArray[np.uint8], asked: Size, drawn: Size) -> NDArray[np.uint8]:
    """`pixels` on a canvas of the size `drawn`, such that they are seen whole where `resample` makes `asked` of it.

    What is cut off there is their mirrored edges here. Of another aspect ratio than `asked`, they cover it, cropped.
    """
    scale = max(asked.width / drawn.width, asked.height / drawn.height)
    seen = Size(
        min(max(1, round(asked.width / scale)), drawn.width), min(max(1, round(asked.height / scale)), drawn.height)
    )
    left, top = (drawn.width - seen.width) // 2, (drawn.height - seen.height) // 2
    edges = ((top, drawn.height - seen.height - top), (left, drawn.width - seen.width - left), (0, 0))
    return np.pad(resample(pixels, seen), edges, mode="symmetric")
