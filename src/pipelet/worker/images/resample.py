"""Resamples images between the size a model generates and the size that was requested.

The worker does this, and not the engine's process, so that the device does not wait for it; also, small images are
quicker to hand over.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipelet.domain.generation.sizes import Size


def resample(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Scale `pixels`, shape (height, width, 3), to cover `size`, and crop the rest evenly."""
    height, width = pixels.shape[:2]
    if (width, height) == (size.width, size.height):
        return pixels
    return np.asarray(ImageOps.fit(Image.fromarray(pixels), (size.width, size.height), Image.Resampling.LANCZOS))


def place_on_canvas(pixels: NDArray[np.uint8], requested: Size, generated: Size) -> NDArray[np.uint8]:
    """Place `pixels` on a canvas of the size `generated`, such that `resample` to `requested` shows all of them.

    The part that `resample` crops is filled with their mirrored edges. If their aspect ratio differs from that of
    `requested`, they cover it, cropped.
    """
    scale = max(requested.width / generated.width, requested.height / generated.height)
    seen = Size(
        min(max(1, round(requested.width / scale)), generated.width),
        min(max(1, round(requested.height / scale)), generated.height),
    )
    left, top = (generated.width - seen.width) // 2, (generated.height - seen.height) // 2
    edges = ((top, generated.height - seen.height - top), (left, generated.width - seen.width - left), (0, 0))
    return np.pad(resample(pixels, seen), edges, mode="symmetric")


def fit_inside(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Scale `pixels` to fit into the middle of `size`, whole, and fill the rest with the colour of their border.

    That colour is the median of the outermost pixels, channel by channel: that of the background, where there is one.
    """
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = tuple(map(int, np.median(border, axis=0)))
    image, where = Image.fromarray(pixels), (size.width, size.height)
    return np.asarray(ImageOps.pad(image, where, Image.Resampling.LANCZOS, color=colour))
