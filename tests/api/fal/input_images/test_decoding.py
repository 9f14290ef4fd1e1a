"""What becomes of the bytes that a user sends as an image."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelet.domain.errors import InvalidImage
from pipelet.services.input_images.decode import decode_image, is_large
from tests.support.images import encoded, new_image, pixel, png

RED, WHITE = (255, 0, 0), (255, 255, 255)


def read(data: bytes, max_side: int = 4096) -> Image.Image:
    found = decode_image(data, max_side=max_side)
    image = Image.open(io.BytesIO(found.png))
    image.load()
    assert ("PNG", "RGB", (found.width, found.height)) == (image.format, image.mode, image.size)
    return image


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
def test_formats_of_the_web(name: str) -> None:
    """Each is read, whatever its file is called."""
    image = read(encoded(new_image(), name))

    assert (96, 64) == image.size
    assert np.allclose(RED, pixel(image, (50, 30)), atol=6)


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (new_image(colour=(255, 0, 0, 0), mode="RGBA"), WHITE),
        (new_image(colour=(255, 0, 0, 255), mode="RGBA"), RED),
        (new_image(colour=(0, 0, 0, 128), mode="RGBA"), (127, 127, 127)),
        (new_image(colour=(0, 0), mode="LA"), WHITE),
        (new_image(colour=77, mode="L"), (77, 77, 77)),
        (new_image(colour=1, mode="1"), WHITE),
        (new_image().convert("P"), RED),
        (Image.fromarray(np.full((64, 96), 0x8000, np.uint16)), (128, 128, 128)),
    ],
    ids=["transparent", "opaque", "half", "grey and alpha", "grey", "black and white", "palette", "16 bits"],
)
def test_pixels_become_rgb(image: Image.Image, colour: tuple[int, int, int]) -> None:
    """What is transparent is laid on white; what has more bits is rounded, not cut off."""
    assert colour == read(encoded(image)).getpixel((50, 30))


def test_a_colour_that_stands_for_nothing_is_white() -> None:
    """Also in a palette, and in an image without an alpha channel."""
    palette = new_image().convert("P")
    blank = palette.getpixel((0, 0))

    assert read(encoded(palette, transparency=blank)).getpixel((0, 0)) == WHITE
    assert read(encoded(new_image(), transparency=RED)).getpixel((0, 0)) == WHITE


def test_print_colours_are_read() -> None:
    """A JPEG for the press."""
    assert np.allclose(
        RED, pixel(read(encoded(new_image(colour=(0, 255, 255, 0), mode="CMYK"), "JPEG")), (9, 9)), atol=6
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(orientation: int) -> None:
    """However the camera was held: the corner that was red is the upper left one again."""
    upright = new_image((128, 96), "blue")
    upright.paste("red", (0, 0, 64, 48))
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    shot = upright.transpose(turned[orientation]) if orientation in turned else upright
    exif = Image.Exif()
    exif[0x0112] = orientation

    image = read(encoded(shot, exif=exif))

    assert (128, 96) == image.size
    assert RED == image.getpixel((5, 5))
    assert {(0, 0, 255)} == {image.getpixel(at) for at in ((120, 5), (5, 90), (120, 90))}


def test_nothing_but_pixels_is_kept() -> None:
    """Neither the place of a photograph nor other metadata of the file."""
    exif = Image.Exif()
    exif[0x010E] = "my home"
    kept = read(encoded(new_image(), exif=exif, icc_profile=b"x" * 200, dpi=(300, 300)))

    assert {} == kept.info
    assert decode_image(png(), max_side=4096) == decode_image(encoded(new_image(), "GIF"), max_side=4096)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_metadata_does_no_harm() -> None:
    """Exif that is no Exif says nothing about how the camera was held."""
    assert (96, 64) == read(encoded(new_image(), "JPEG", exif=b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff")).size


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_large_images_are_scaled_down(name: str) -> None:
    """Into the largest side, at their aspect ratio."""
    assert (512, 256) == read(encoded(new_image((2000, 1000)), name), max_side=512).size


def test_the_first_frame_of_an_animation_counts() -> None:
    """The others cost nothing."""
    frames = [new_image(colour=(number, 0, 0)) for number in range(100)]
    data = encoded(new_image(), "GIF", save_all=True, append_images=frames, duration=20)

    assert RED == read(data).getpixel((0, 0))


def header_alone(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and ends there."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in (chunk, data)
    )


def noise(width: int, height: int) -> bytes:
    return encoded(Image.fromarray(np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)))


NOISE = noise(96, 64)


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"", "image_load_error", "empty"),
        (NOISE[:4000], "image_load_error", "incomplete"),
        (NOISE[:20], "image_load_error", "incomplete"),
        (encoded(new_image(), "JPEG")[:200], "image_load_error", "incomplete"),
        (encoded(new_image(), "WEBP")[:30], "image_load_error", "incomplete"),
        (header_alone(9000, 8000), "image_too_large", "9000x8000.*64 megapixels"),
        (header_alone(12_000, 10_000), "image_too_large", "64 megapixels"),
        (header_alone(30_000, 30_000), "image_too_large", "64 megapixels"),
        (png((64, 63)), "image_too_small", "64x63.*64 pixels"),
        (png((9000, 70)), "image_too_small", "4096x32"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_image_format", "SVG.*PNG, JPEG, WEBP, GIF, AVIF"),
        (b"<?xml version='1.0'?>\n<svg/>", "unsupported_image_format", "SVG"),
        (
            b"\xef\xbb\xbf <!DOCTYPE html><p>Not found",
            "unsupported_image_format",
            "web page.*URL of the image itself",
        ),
        (b'{"error": 1}', "unsupported_image_format", "JSON document.*URL of the image itself"),
        (b"%PDF-1.7", "unsupported_image_format", "PDF document.*JPEG.*PNG, JPEG, WEBP"),
        (encoded(new_image(), "TIFF"), "unsupported_image_format", "TIFF.*as JPEG.*PNG, JPEG, WEBP"),
        (encoded(new_image(), "BMP"), "unsupported_image_format", "BMP image.*as JPEG.*PNG, JPEG, WEBP"),
        (encoded(new_image(), "JPEG2000"), "unsupported_image_format", "JPEG 2000.*as JPEG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "unsupported_image_format", "JPEG XL.*as JPEG"),
        (b"\xff\x0a\xfa\x1f\x01", "unsupported_image_format", "JPEG XL"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "unsupported_image_format", "MOV.*one frame"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "unsupported_image_format", "MP4.*one frame"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "image_load_error", "incomplete"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf", "image_load_error", "incomplete"),
        (b"RIFF\0\0\0\0AVI LIST", "unsupported_image_format", "AVI video"),
        (b"just text", "unsupported_image_format", "PNG, JPEG, WEBP"),
    ],
)
def test_what_is_no_image_is_refused(data: bytes, kind: str, says: str) -> None:
    """By fal's name for it, and with what to do; sizes are looked at before anything is decoded."""
    with pytest.raises(InvalidImage, match=says) as caught:
        decode_image(data, max_side=4096)

    assert kind == caught.value.kind


def test_large_images_are_told_from_their_first_bytes() -> None:
    """By the memory that their decoder takes; and JPEGs of many scans, which take as long."""
    assert is_large(header_alone(8000, 8000))
    assert not is_large(header_alone(4000, 3000))
    begin, scan, end = _progressive()
    assert is_large(begin + scan * 50 + end)
    assert not any(map(is_large, [JPEG, PNG, GIF, b"", b"<svg/>", NOISE[:20]]))


WHOLE = [encoded(new_image(), name) for name in ("PNG", "JPEG", "WEBP", "GIF", "AVIF")] + [NOISE]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), max_size=6), st.floats(0, 1))
def test_damage_is_refused_or_read(data: bytes, changes: list[tuple[float, bytes]], end: float) -> None:
    """Whatever is changed or cut off, there is an image or a clear fault."""
    damaged = bytearray(data[: len(data) - int(end * len(data) / 3)])
    for where, change in changes:
        at = int(where * len(damaged))
        damaged[at : at + len(change)] = change
    try:
        found = decode_image(bytes(damaged), max_side=128)
    except InvalidImage as error:
        assert error.kind.startswith(("image_", "unsupported_"))
    else:
        assert max(found.width, found.height) <= 128


def _progressive() -> tuple[bytes, bytes, bytes]:
    """Such a JPEG up to its last scan, that scan, and the end."""
    data = encoded(new_image((640, 640)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last], data[last:-2], data[-2:]


@pytest.mark.parametrize(
    "between", [b"", b"\xff\x01", b"\xff\xfe\x00\x04\xff\xd9"], ids=["nothing", "a mark", "a comment"]
)
def test_an_image_of_very_many_scans(between: bytes) -> None:
    """Each costs time, and no bytes: some kilobytes could be decoded for minutes. No comment hides them."""
    begin, scan, end = _progressive()

    assert (640, 640) == read(begin + (between + scan) * 50 + end).size
    with pytest.raises(InvalidImage, match="more than 100 scans") as refused:
        read(begin + (between + scan) * 1000 + end)
    assert "image_load_error" == refused.value.kind


def test_what_follows_a_jpeg_does_not_count() -> None:
    """Phones write a film behind the image, in which every pair of bytes occurs."""
    assert (640, 640) == read(encoded(new_image((640, 640)), "JPEG") + b"\xff\xda" * 1000).size


def segments(count: int, kind: bytes, content: bytes) -> bytes:
    """Of a JPEG."""
    return (b"\xff" + kind + struct.pack(">H", len(content) + 2) + content) * count


def chunks(count: int, kind: bytes, content: bytes) -> bytes:
    """Of a PNG."""
    body = kind + content
    return (struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))) * count


def rechunked(png: bytes, size: int) -> bytes:
    """A PNG whose data come in chunks of `size`."""
    begin, end = png.index(b"IDAT") - 4, png.rindex(b"IEND") - 4
    data = b""
    at = begin
    while at < end:
        length = int.from_bytes(png[at : at + 4])
        data += png[at + 8 : at + 8 + length]
        at += length + 12
    pieces = [chunks(1, b"IDAT", data[at : at + size]) for at in range(0, len(data), size)]
    return png[:begin] + b"".join(pieces) + png[end:]


def within(data: bytes, at: int, more: bytes) -> bytes:
    return data[:at] + more + data[at:]


JPEG, PNG, GIF = (encoded(new_image(), name) for name in ("JPEG", "PNG", "GIF"))
GIF_BODY = GIF.index(b",", 13)
"""Where the first frame begins, behind the header and the palette."""


MANY_PARTS: dict[str, Callable[[], bytes]] = {
    "comments that look like scans": lambda: within(JPEG, 2, segments(3_000_000, b"\xfe", b"\xff\xda")),
    "comments": lambda: within(JPEG, 2, segments(5_000_000, b"\xfe", b"")),
    "Exif": lambda: within(JPEG, 2, segments(300_000, b"\xe1", b"Exif\0\0" + b"x" * 60)),
    "fill": lambda: within(JPEG, 2, b"\xff" * 20_000_000),
    "marks": lambda: within(JPEG, 2, b"\xff\xd0" * 10_000_000),
    "junk": lambda: within(JPEG, 2, b"\xff\0" + bytes(20_000_000)),
    "PNG texts": lambda: within(PNG, 33, chunks(1_700_000, b"tEXt", b"")),
    "PNG texts at the end": lambda: within(PNG, len(PNG) - 12, chunks(1_700_000, b"tEXt", b"")),
    "PNG data": lambda: within(PNG, 33, chunks(1_700_000, b"IDAT", b"")),
    "GIF comments": lambda: within(GIF, GIF_BODY, b"!\xfe\0" * 7_000_000),
    "GIF comment": lambda: within(GIF, GIF_BODY, b"!\xfe" + b"\x01x" * 10_000_000 + b"\0"),
}


@pytest.mark.parametrize("name", MANY_PARTS)
def test_a_file_of_very_many_parts(name: str) -> None:
    """Each costs time and memory, and hardly a byte: the file is refused after the first of them."""
    with pytest.raises(InvalidImage, match="too many small parts") as refused:
        read(MANY_PARTS[name]())

    assert "image_load_error" == refused.value.kind


MUCH_METADATA: dict[str, Callable[[], bytes]] = {
    "XMP": lambda: within(JPEG, 2, segments(318, b"\xe1", b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_000))),
    "profile": lambda: within(JPEG, 2, segments(255, b"\xe2", b"ICC_PROFILE\0\x01\xff" + bytes(65_000))),
    "Exif": lambda: within(JPEG, 2, segments(20, b"\xe1", b"Exif\0\0" + bytes(60_000))),
    "further pictures": lambda: encoded(new_image((640, 480)), "MPO", save_all=True, append_images=[new_image()] * 20),
    "PNG XMP": lambda: within(PNG, 33, chunks(1, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b" " * 900_000)),
    "GIF XMP": lambda: within(GIF, GIF_BODY, b"!\xff\x0bXMP DataXMP" + b" " * 33 * 30_000 + b"\0"),
    "PNG in small chunks": lambda: rechunked(noise(2600, 2600), 1024),
}


@pytest.mark.parametrize("name", MUCH_METADATA)
def test_much_metadata_does_no_harm(name: str) -> None:
    """As much as programs and cameras write at most, or in pieces as small."""
    assert min(read(MUCH_METADATA[name]()).size) >= 64
