"""Decode the image that a user sent into an upright RGB image in a PNG file, or say what is wrong with it.

Formats are those of the web, and HEIC if `pillow-heif` is installed. The first frame of an animation counts. Only the
pixels are kept, with their colour profile applied; the place where a photograph was taken is not.
"""

import contextlib
import hashlib
import io
import re
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pipelet.domain.errors import InvalidImage
from pipelet.services.input_images.color_profiles import profile_of
from pipelet.services.input_images.formats import is_readable, prepare_for, readable, unsupported

MAX_PIXELS = 64_000_000
"""Maximum pixels of an image as it was sent. Decoded, each takes three or four bytes."""
MIN_SIDE = 64
"""Minimum pixels of a side; models recognise nothing in less."""
MAX_SCANS = 100
"""Maximum scans of a JPEG. Each covers all its pixels, however few bytes it has. Cameras write ten at most."""

MAX_READS = 100_000
"""Maximum reads by Pillow of a file. Each costs time and memory, however small: a file could have millions of empty
comments. PNGs are written in chunks of some kilobytes, and each chunk takes four reads."""
MAX_READS_OF_JPEG = 2_000
"""Maximum reads of a JPEG. A segment of 64 KiB before the first scan takes four reads: 20 MiB of profiles, notes and
previews have 320 segments. Fewer than for other formats, because Pillow copies all Exif data for each segment of it."""

_JPEG = b"\xff\xd8"
_JPEG_FORMATS = ("JPEG", "MPO")
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
"""The marker of a JPEG segment with a length. In coded data, an FF is followed by a zero or marks a restart."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


LARGE_BYTES = 160_000_000
"""Memory for decoding above which an image counts as large: it also takes long. A JPEG of 13 megapixels takes less."""
_BYTES_PER_PIXEL = {"WEBP": 20, "AVIF": 15, "HEIF": 15}
"""Bytes by format, measured with transparency, for which decoders hold several copies; 12 for other formats."""
_MANY_SCANS = 20


@dataclass(frozen=True, slots=True)
class DecodedImage:
    png: bytes
    width: int
    height: int
    digest: bytes
    """Equal for equal pixels."""


def is_large(data: bytes) -> bool:
    """Whether decoding takes more than `LARGE_BYTES`, or a similar time. False if the file cannot be read at all."""
    if data.startswith(_JPEG) and data.count(b"\xff\xda") > _MANY_SCANS:
        return True
    try:
        with Image.open(_File(data), formats=prepare_for(data)) as image:
            return image.width * image.height * _BYTES_PER_PIXEL.get(image.format or "", 12) > LARGE_BYTES
    except Exception:  # noqa: BLE001 - `decode_image` reports the error
        return False


def decode_image(data: bytes, *, max_side: int) -> DecodedImage:
    """Decode an image, scaled down so that no side is longer than `max_side`.

    Raises:
        InvalidImage: it cannot be used.
    """
    if not data:
        raise InvalidImage("image_load_error", "The file is empty.")
    if data.startswith(_JPEG):
        _check_scans(data)
    try:
        with Image.open(_File(data), formats=prepare_for(data)) as image:
            _check_pixels(image)
            if image.format in _JPEG_FORMATS:  # decoded at a fraction of its size if that is enough
                image.draft(None, (max_side, max_side))
            image.load()
            _check_pixels(image)  # the decoded size of HEIC may differ
            decoded = _to_rgb(image, max_side)
            _turn_upright(decoded, image)
    except InvalidImage:
        raise
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except Exception as error:
        raise InvalidImage("image_load_error", "The file is damaged or incomplete: it cannot be decoded.") from error
    if min(decoded.size) < MIN_SIDE:
        message = f"The image is too small: {decoded.width}x{decoded.height}. Each side needs {MIN_SIDE} pixels."
        raise InvalidImage("image_too_small", message, min_width=MIN_SIDE, min_height=MIN_SIDE)
    file = io.BytesIO()
    decoded.save(file, "PNG", compress_level=1)
    png = file.getvalue()
    return DecodedImage(png, decoded.width, decoded.height, hashlib.sha256(png).digest())


class _File(io.BytesIO):
    """Bounds the work of a parser, whatever the format."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads_left = MAX_READS_OF_JPEG if data.startswith(_JPEG) else MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads_left -= 1
        if self._reads_left < 0:
            raise _too_many_parts()
        return super().read(size)


def _check_scans(data: bytes) -> None:
    """Data after the image, such as a phone's video, does not count; neither does a thumbnail inside."""
    if data.count(b"\xff\xda") <= MAX_SCANS:
        return
    scans, at = 0, 2
    for _ in range(MAX_READS_OF_JPEG):  # blocks other threads: millions of comments would for seconds
        found = _MARKER.search(data, at)
        if found is None or data[found.end() - 1] == _END_OF_IMAGE:
            return
        scans += data[found.end() - 1] == _START_OF_SCAN
        if scans > MAX_SCANS:
            message = f"The JPEG has more than {MAX_SCANS} scans. Save it again, as any JPEG."
            raise InvalidImage("image_load_error", message)
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    raise _too_many_parts()


def _too_many_parts() -> InvalidImage:
    return InvalidImage("image_load_error", "The file consists of too many small parts. Save it again.")


def _to_rgb(image: Image.Image, max_side: int) -> Image.Image:
    """The image as RGB, scaled, on white where it is transparent."""
    has_alpha = image.has_transparency_data
    decoded, profile = _to_8bit(image), profile_of(image)
    wanted = "CMYK" if profile is not None and profile.space == b"CMYK" else "RGBA" if has_alpha else "RGB"
    if decoded.mode != wanted:
        decoded = decoded.convert(wanted)
    decoded.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    if profile is not None:
        decoded = profile.to_srgb(decoded)
    if decoded.mode != "RGBA":
        return decoded.convert("RGB")
    paper = Image.new("RGB", decoded.size, "white")
    paper.paste(decoded, mask=decoded.getchannel("A"))
    return paper


def _to_8bit(image: Image.Image) -> Image.Image:
    """Pillow's own conversion from 16 bits to eight clips all but the darkest values."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    return image


def _turn_upright(decoded: Image.Image, image: Image.Image) -> None:
    """Turn `decoded` as the metadata of `image` says. Damaged metadata does not make the image unusable."""
    decoded.info.clear()  # Pillow would write a part of it
    with contextlib.suppress(Exception):
        decoded.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation)
        ImageOps.exif_transpose(decoded, in_place=True)


def _check_pixels(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(f": {image.width}x{image.height}")


def _too_many_pixels(found: str = "") -> InvalidImage:
    message = f"The image is too large{found}. At most {MAX_PIXELS // 1_000_000} megapixels are read."
    return InvalidImage("image_too_large", message, max_pixels=MAX_PIXELS)


def _unidentified(data: bytes) -> InvalidImage:
    if is_readable(data):
        return InvalidImage("image_load_error", "The file is damaged or incomplete: it cannot be decoded.")
    return unsupported(data, readable())
