"""Colour profiles: convert the pixels of an image to sRGB, which models were trained on.

A profile that cannot be applied is ignored.
"""

from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

MAX_PROFILE_BYTES = 4 * 1024 * 1024
"""Profiles of printing presses have up to three MiB."""
_SRGB_TOLERANCE = 2
"""Levels of 255. Programs write sRGB in several ways, which differ by one or two; such images stay unchanged."""
_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac")
_SPACES = {
    b"RGB ": ("RGB", "RGBA", "RGBX", "P", "PA", "L", "LA", "1"),
    b"GRAY": ("L", "LA", "1", "I", "I;16", "I;16L", "I;16B"),
    b"CMYK": ("CMYK",),
}
"""The image modes that a profile fits, by its colour space."""


@dataclass(frozen=True, slots=True)
class Profile:
    data: bytes
    space: bytes
    """An image in `CMYK` must not be converted to RGB before `to_srgb`."""

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """An RGB, RGBA or CMYK image as RGB or RGBA; unchanged if its colours are sRGB already."""
        try:
            return self._converted(image)
        except Exception:  # noqa: BLE001 - the image can be used without its profile
            return image

    def _converted(self, image: Image.Image) -> Image.Image:
        if self.space == b"RGB ":
            transform = _transform(self.data, image.mode, image.mode)
            return image if _is_neutral(_transform(self.data, "RGB", "RGB"), _COLOURS) else transform.apply(image)
        if self.space == b"CMYK":
            return _transform(self.data, "CMYK", "RGB").apply(image)
        transform = _transform(self.data, "L", "RGB")
        if _is_neutral(transform, _GREYS):
            return image
        grey = transform.apply(image.getchannel("R"))
        if image.mode == "RGBA":
            grey.putalpha(image.getchannel("A"))
        return grey


def profile_of(image: Image.Image) -> Profile | None:
    """The profile in the file, if it fits the image and is safe to read."""
    data = image.info.get("icc_profile")
    if not isinstance(data, bytes) or not 128 < len(data) <= MAX_PROFILE_BYTES:
        return None
    if data[36:40] != b"acsp" or data[12:16] not in _CLASSES or image.mode not in _SPACES.get(data[16:20], ()):
        return None
    # `mpet` allows any number of stages, each evaluated for tens of thousands of colours: 4 MiB could take minutes.
    return None if b"mpet" in data else Profile(data, data[16:20])


_LEVELS = np.linspace(0, 255, 9).round().astype(np.uint8)
_COLOURS = Image.fromarray(np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS), axis=-1).reshape(27, 27, 3))
_GREYS = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))


def _is_neutral(transform: "ImageCms.ImageCmsTransform", probe: Image.Image) -> bool:
    before, after = (np.asarray(each.convert("RGB"), np.int16) for each in (probe, transform.apply(probe)))
    return int(np.abs(after - before).max()) <= _SRGB_TOLERANCE


def _transform(data: bytes, mode_from: str, mode_to: str) -> "ImageCms.ImageCmsTransform":
    from PIL import ImageCms  # most images do not need its library

    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(BytesIO(data)),
        _srgb(),
        mode_from,
        mode_to,
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


@cache
def _srgb() -> "ImageCms.ImageCmsProfile":
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
