"""Photographs of iPhones: named where they are not read, and read where `pillow-heif` is installed."""

import struct
import subprocess
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pipelet.domain.errors import InvalidImage
from pipelet.services.input_images.decode import decode_image
from pipelet.services.input_images.formats import readable
from tests.api.fal.input_images.test_decoding import read
from tests.support.images import encoded, new_image, pixel
from tests.support.profiles import DISPLAY_P3, rgb_profile

HEAD = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"
HEADS = [HEAD, HEAD.replace(b"ftypheic", b"ftypmif1"), HEAD + bytes(900)]
_WITHOUT = f"""
import sys
sys.modules["pillow_heif"] = None  # as where it is not installed
from pipelet.services.input_images.formats import readable
from pipelet.domain.errors import InvalidImage
from pipelet.services.input_images.decode import decode_image
assert "HEIF" not in readable()
for data in {HEADS!r}:
    try:
        decode_image(data, max_side=4096)
    except InvalidImage as refused:
        print(refused.kind, refused)
"""


def test_a_heic_photograph_is_named_where_it_is_not_read() -> None:
    """With what to do about it on a phone."""
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=True)

    lines = done.stdout.splitlines()
    assert len(HEADS) == len(lines)
    for line in lines:
        for words in ("unsupported_image_format", "HEIC", "as JPEG", "Most Compatible", "PNG, JPEG, WEBP, GIF, AVIF."):
            assert words in line


@pytest.mark.parametrize("data", HEADS)
def test_a_damaged_heic_photograph_is_refused(data: bytes) -> None:
    """As every other format is."""
    with pytest.raises(InvalidImage) as refused:
        decode_image(data, max_side=4096)

    assert "image_load_error" == refused.value.kind
    assert "HEIF" in readable()


def test_a_heic_photograph_is_read() -> None:
    """Upright, in its colours, within the limits of every format."""
    pillow_heif.register_heif_opener()
    upright = new_image((128, 96), (40, 160, 60))
    upright.paste((250, 120, 40), (0, 0, 64, 48))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(
        upright.transpose(Image.Transpose.ROTATE_90),
        "HEIF",
        quality=100,
        exif=exif.tobytes(),
        icc_profile=rgb_profile(DISPLAY_P3),
    )

    found = read(data)

    assert (128, 96) == found.size
    np.testing.assert_allclose((255, 110, 0), pixel(found, (9, 9)), atol=5)
    np.testing.assert_allclose((0, 163, 40), pixel(found, (120, 90)), atol=5)
    assert (96, 72) == read(data, max_side=96).size
    with pytest.raises(InvalidImage, match="damaged or incomplete"):
        decode_image(data[: len(data) // 2], max_side=4096)
    with pytest.raises(InvalidImage, match="64 megapixels"):
        decode_image(saying_size(data, 9000, 8000), max_side=4096)


def saying_size(data: bytes, width: int, height: int) -> bytes:
    """Each image in the file, as if it were so large."""
    pieces = data.split(b"ispe\0\0\0\0")
    return b"".join(
        [pieces[0], *(b"ispe\0\0\0\0" + struct.pack(">II", width, height) + each[8:] for each in pieces[1:])]
    )
