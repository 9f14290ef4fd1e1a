"""Previews as the files that clients get."""

import io

import numpy as np
from PIL import Image

from pipelet.domain.generation.preview import MAX_BYTES, PreviewPixels
from pipelet.domain.generation.sizes import Size
from pipelet.worker.images.resample import resample

_QUALITIES = (75, 30, 0)


def encode_preview(made: PreviewPixels, size: Size) -> bytes | None:
    """Encode a preview as WebP, cropped as the image of that size will be; None if it takes more than `MAX_BYTES`."""
    pixels = np.asarray(made.pixels)
    height, width = pixels.shape[:2]
    scale = min(width / size.width, height / size.height)
    shown = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
    image = Image.fromarray(resample(pixels, shown))
    for quality in _QUALITIES:
        file = io.BytesIO()
        image.save(file, "WEBP", quality=quality, method=2)
        if file.tell() <= MAX_BYTES:
            return file.getvalue()
    return None
