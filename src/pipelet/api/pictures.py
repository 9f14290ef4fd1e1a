"""From the bytes of whatever a user sent to an upright RGB picture in a PNG file, or to what is wrong with it.

Formats are those of the web, and HEIC where `pillow-heif` is installed. Of an animation the first frame counts. Nothing
of the file but its pixels is kept: not the place where a photograph was taken, and of a colour profile what it says.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from pipelet.api.colours import profile_of
from pipelet.api.picture_formats import is_readable, name_of, prepare_for, readable
from pipelet.domain.errors import PipeletError

MAX_PIXELS = 64_000_000
"""Of a picture as it was sent. Decoded, it takes three or four bytes for each."""
MIN_SIDE = 64
"""Pixels; models see nothing in less."""
MAX_SCANS = 100
"""Of a JPEG, each of them over all its pixels, however few bytes it has. Cameras and programs write ten at most."""

MAX_READS = 100_000
"""Pieces that Pillow reads of a file. Each costs time and memory, however small: of empty comments a file could have
millions. PNGs are written in chunks of some kilobytes, each of which takes four."""
MAX_READS_OF_JPEG = 2_000
"""Of which four take a segment of up to 64 KiB before the first scan: 20 MiB of profiles, notes and previews have 320.
Less than of others, because Pillow copies all Exif that it has for each further segment of it."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By Exif's orientation: what turns it back."""
_JPEG = b"\xff\xd8"
_JPEG_FORMATS = ("JPEG", "MPO")
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
"""What begins a segment of a JPEG, and has a length. In coded data, an FF is followed by a zero or marks a restart."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


LARGE_BYTES = 160_000_000
"""Of memory for decoding: what takes more takes long, too. A JPEG of 13 megapixels is below."""
_BYTES_PER_PIXEL = {"WEBP": 20, "AVIF": 15, "HEIF": 15}
"""As measured with transparency, where decoders hold several copies; 12 for the others."""
_MANY_SCANS = 20


class PictureRefused(PipeletError):
    """`kind` is fal's name of the fault, `context` its figures."""

    def __init__(self, kind: str, message: str, **context: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.context = context


@dataclass(frozen=True, slots=True)
class Picture:
    png: bytes
    width: int
    height: int
    digest: bytes
    """The same for the same pixels."""


def is_large(data: bytes) -> bool:
    """Whether decoding takes more than `LARGE_BYTES`, or as long. False where the file cannot be read at all."""
    if data.startswith(_JPEG) and data.count(b"\xff\xda") > _MANY_SCANS:
        return True
    try:
        with Image.open(_File(data), formats=prepare_for(data)) as image:
            return image.width * image.height * _BYTES_PER_PIXEL.get(image.format or "", 12) > LARGE_BYTES
    except Exception:  # noqa: BLE001 - `read_picture` says what is wrong
        return False


def read_picture(data: bytes, *, max_side: int) -> Picture:
    """What is larger than `max_side` is scaled down into it.

    Raises:
        PictureRefused: it is none that can be used.
    """
    if not data:
        raise PictureRefused("image_load_error", "The file is empty.")
    if data.startswith(_JPEG):
        _refuse_too_many_scans(data)
    try:
        with Image.open(_File(data), formats=prepare_for(data)) as image:
            _refuse_too_many_pixels(image)
            if image.format in _JPEG_FORMATS:  # decoded at a fraction of its size, where that is enough
                image.draft(None, (max_side, max_side))
            image.load()
            _refuse_too_many_pixels(image)  # of HEIC, the size may be another one once it is decoded
            picture = _upright(_flat(image, max_side), image)
    except PictureRefused:
        raise
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except Exception as error:
        raise PictureRefused("image_load_error", "The file is damaged or incomplete: it cannot be decoded.") from error
    if min(picture.size) < MIN_SIDE:
        message = f"The picture is too small: {picture.width}x{picture.height}. Each side needs {MIN_SIDE} pixels."
        raise PictureRefused("image_too_small", message, min_width=MIN_SIDE, min_height=MIN_SIDE)
    png = _png(picture)
    return Picture(png, picture.width, picture.height, hashlib.sha256(png).digest())


class _File(io.BytesIO):
    """Bounds what a parser can be made to do, whatever its format."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads_left = MAX_READS_OF_JPEG if data.startswith(_JPEG) else MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads_left -= 1
        if self._reads_left < 0:
            raise _too_many_parts()
        return super().read(size)


def _refuse_too_many_scans(data: bytes) -> None:
    """Of what follows the picture, such as the film of a phone, nothing counts, nor of a thumbnail inside."""
    if data.count(b"\xff\xda") <= MAX_SCANS:
        return
    scans, at = 0, 2
    for _ in range(MAX_READS_OF_JPEG):  # each turn holds up all other threads: millions of comments would for seconds
        found = _MARKER.search(data, at)
        if found is None or data[found.end() - 1] == _END_OF_IMAGE:
            return
        scans += data[found.end() - 1] == _START_OF_SCAN
        if scans > MAX_SCANS:
            message = f"The JPEG has more than {MAX_SCANS} scans. Save it again, as any JPEG."
            raise PictureRefused("image_load_error", message)
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    raise _too_many_parts()


def _too_many_parts() -> PictureRefused:
    return PictureRefused("image_load_error", "The file consists of too many small parts. Save it again.")


def _flat(image: Image.Image, max_side: int) -> Image.Image:
    """RGB, scaled; what is transparent lies on white."""
    has_alpha = image.has_transparency_data
    picture, profile = _of_eight_bits(image), profile_of(image)
    wanted = "CMYK" if profile is not None and profile.keeps_cmyk else "RGBA" if has_alpha else "RGB"
    if picture.mode != wanted:
        picture = picture.convert(wanted)
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    if profile is not None:
        picture = profile.to_srgb(picture)
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(picture, mask=picture.getchannel("A"))
    return paper


def _of_eight_bits(image: Image.Image) -> Image.Image:
    """Pillow's own way from 16 bits to eight cuts off all that is brighter than the darkest."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    return image


def _upright(picture: Image.Image, image: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(_orientation(image))
    return picture if turn is None else picture.transpose(turn)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - a picture is none the worse for what some program wrote beside it
        return None


def _png(picture: Image.Image) -> bytes:
    picture.info.clear()  # or Pillow would write a part of it
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _refuse_too_many_pixels(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(f": {image.width}x{image.height}")


def _too_many_pixels(found: str = "") -> PictureRefused:
    message = f"The picture is too large{found}. At most {MAX_PIXELS // 1_000_000} megapixels are read."
    return PictureRefused("image_too_large", message, max_pixels=MAX_PIXELS)


def _unidentified(data: bytes) -> PictureRefused:
    if is_readable(data):
        return PictureRefused("image_load_error", "The file is damaged or incomplete: it cannot be decoded.")
    (name, advice), formats = name_of(data), readable()
    message = f"The file is {name}, which is not read here. {advice} Formats that are read: {', '.join(formats)}."
    supported = [each.lower() for each in formats]
    return PictureRefused("unsupported_image_format", message.replace("  ", " "), supported_formats=supported)
