"""Pixels of the size a model draws to pixels of the size that was asked for.

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
