"""Encodes thumbnails."""

import io

from PIL import Image

MAX_SIDE = 320
"""Pixels of the longer side."""
_FORMATS = ("PNG", "JPEG", "WEBP")
"""What workers write."""


def thumbnail_of_image(image: Image.Image) -> bytes:
    """Encode `image`, scaled down so that no side is longer than `MAX_SIDE`."""
    small = image.convert("RGB")
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=80, method=2)
    return file.getvalue()


def thumbnail_of_file(data: bytes) -> bytes:
    """Encode the image in a file that a worker wrote.

    Raises:
        OSError: the file is damaged.
    """
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        image.draft("RGB", (2 * MAX_SIDE, 2 * MAX_SIDE))  # a JPEG is decoded at a fraction of its size
        return thumbnail_of_image(image)
