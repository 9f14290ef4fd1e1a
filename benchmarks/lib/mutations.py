"""Image files that are damaged in ways that decoders stumble over, the same ones for the same seed."""

import io
import random
import struct
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MAX_CHANGES = 4


@cache
def corpus() -> tuple[bytes, ...]:
    """Valid files: every format that is read, in the ways of storing pixels that its decoder has code for."""
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 255, (96, 128, 3), np.uint8))
    smooth = Image.fromarray(np.linspace(0, 255, 256 * 192 * 3).reshape(192, 256, 3).astype(np.uint8))
    alpha = smooth.convert("RGBA")
    alpha.putalpha(smooth.getchannel("R"))
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = icc[:24] + bytes(12) + icc[36:]  # without the time at which it was made
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photograph"
    frames = {"save_all": True, "append_images": [noise.resize(smooth.size), smooth.rotate(90)], "duration": 50}
    return (
        *(
            _file(image, "PNG", icc_profile=icc)
            for image in (noise, smooth, alpha, smooth.quantize(16), smooth.convert("1"))
        ),
        _file(Image.fromarray(rng.integers(0, 65535, (96, 128), np.uint16)), "PNG"),
        _file(smooth, "PNG", exif=exif, dpi=(300, 300), **frames),
        *(_file(image, "JPEG", exif=exif, icc_profile=icc) for image in (noise, smooth)),
        _file(smooth, "JPEG", progressive=True, comment=b"a comment"),
        _file(smooth.convert("CMYK"), "JPEG"),
        _file(smooth.convert("L"), "JPEG", quality=20),
        _file(smooth, "MPO", save_all=True, append_images=[noise]),
        _file(smooth, "WEBP", icc_profile=icc, exif=exif),
        _file(alpha, "WEBP", lossless=True),
        _file(smooth, "WEBP", **frames),
        _file(smooth, "GIF", **frames),
        _file(noise, "GIF"),
        _file(smooth, "AVIF", icc_profile=icc, exif=exif),
        _file(alpha, "AVIF", quality=30),
    )


def mutated(seed: int, count: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(rng.choice(corpus()))
        for _ in range(rng.randint(1, _MAX_CHANGES)):
            data = rng.choice(_CHANGES)(rng, data)
        yield bytes(data)


def _file(image: Image.Image, name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def _place(rng: random.Random, data: bytearray) -> int:
    """More often near the beginning, where headers are."""
    return int(len(data) * rng.random() ** 3)


def _flip_bits(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 2, 8, 64)) if data else 0):
        data[_place(rng, data)] ^= 1 << rng.randrange(8)
    return data


def _write_length(rng: random.Random, data: bytearray) -> bytearray:
    """A number at the limits of its type, in either byte order, where a length or a size may stand."""
    kind = rng.choice("BHI")
    value = rng.choice(_INTERESTING) & (256 ** struct.calcsize(kind) - 1)
    number = struct.pack(rng.choice("<>") + kind, value)
    at = _place(rng, data)
    data[at : at + len(number)] = number
    return data


def _truncate(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def _repeat(rng: random.Random, data: bytearray) -> bytearray:
    """A piece of the file, such as a chunk, once or many times more."""
    begin = _place(rng, data)
    piece = data[begin : begin + rng.choice((4, 12, 64, 1024))]
    return data[:begin] + piece * rng.choice((1, 2, 100)) + data[begin:]


def _delete(rng: random.Random, data: bytearray) -> bytearray:
    begin = _place(rng, data)
    del data[begin : begin + rng.choice((1, 4, 16, 256))]
    return data


def _splice(rng: random.Random, data: bytearray) -> bytearray:
    """It continues as another file."""
    other = rng.choice(corpus())
    return data[: _place(rng, data)] + other[rng.randrange(len(other)) :]


def _insert(rng: random.Random, data: bytearray) -> bytearray:
    at = _place(rng, data)
    data[at:at] = rng.randbytes(rng.choice((1, 4, 300)))
    return data


_CHANGES: tuple[Callable[[random.Random, bytearray], bytearray], ...] = (
    *(_flip_bits, _flip_bits, _write_length, _write_length),
    *(_truncate, _repeat, _delete, _splice, _insert),
)
