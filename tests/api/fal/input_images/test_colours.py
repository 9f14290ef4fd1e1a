"""What becomes of the colours of images that name a profile."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelet.services.input_images.color_profiles import MAX_PROFILE_BYTES
from tests.api.fal.input_images.test_decoding import read
from tests.support.images import encoded, new_image, pixel
from tests.support.profiles import DISPLAY_P3, SRGB, cmyk_profile, grey_profile, profile, rgb_profile

P3 = rgb_profile(DISPLAY_P3)
NOISE = Image.fromarray(np.random.default_rng(5).integers(0, 255, (64, 96, 3), np.uint8))


def colour_of(image: Image.Image, icc: bytes, name: str = "PNG", **options: Any) -> Any:
    return pixel(read(encoded(image, name, icc_profile=icc, **options)), (50, 30))


@pytest.mark.parametrize(
    ("sent", "right"),
    [((250, 120, 40), (255, 110, 0)), ((40, 160, 60), (0, 163, 40)), ((200, 150, 120), (209, 147, 115))],
)
@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_photographs_keep_their_colours(sent: tuple[int, int, int], right: tuple[int, int, int], name: str) -> None:
    """Those of phones are in Display P3; read as sRGB they would look dull."""
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 100},
    }
    found = colour_of(new_image(colour=sent), P3, name, **options.get(name, {}))

    np.testing.assert_allclose(found, right, atol=1 if name == "PNG" else 4)


@pytest.mark.parametrize(
    ("image", "icc"),
    [
        (NOISE, rgb_profile(SRGB)),
        (NOISE.convert("RGBA"), rgb_profile(SRGB)),
        (NOISE.convert("L"), rgb_profile(SRGB)),
        (NOISE, b"x" * 3000),
        (NOISE, P3[:200]),
        (NOISE, P3[:140] + bytes(len(P3) - 140)),
        (NOISE, P3.replace(b"RGB ", b"CMYK")),
        (NOISE, P3.replace(b"mntr", b"link")),
        (NOISE, grey_profile(1.0)),
        (NOISE, P3 + bytes(MAX_PROFILE_BYTES)),
        (NOISE, profile(b"RGB ", {b"D2B0": b"mpet" + bytes(100)})),
        (NOISE, profile(b"RGB ", {})),
    ],
    ids=[
        *("sRGB", "sRGB with alpha", "sRGB grey", "none at all", "cut off", "empty tags", "for print", "a link"),
        *("for greys", "huge", "multi-process", "no tags"),
    ],
)
def test_other_images_stay_as_they_are(image: Image.Image, icc: bytes) -> None:
    """Bit for bit: what is sRGB already, however it says so, and what names a profile that cannot be applied."""
    kept = read(encoded(image, "WEBP", lossless=True, exact=True, icc_profile=icc))

    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), np.asarray(kept))


def test_transparency_is_kept_with_a_profile() -> None:
    """The colour is converted, and then laid on white."""
    assert (255, 182, 127) == colour_of(new_image(colour=(250, 120, 40, 128), mode="RGBA"), P3)
    assert (255, 110, 0) == colour_of(new_image(colour=(250, 120, 40)).quantize(), P3)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_greys_have_profiles_too(mode: str) -> None:
    """Linear ones become brighter; a scan's gamma of 2.2 is nearly sRGB's."""
    colour = 64 if mode == "L" else (64, 255)

    assert (137, 137, 137) == colour_of(new_image(colour=colour, mode=mode), grey_profile(1.0))
    np.testing.assert_allclose((64,) * 3, colour_of(new_image(colour=colour, mode=mode), grey_profile(2.2)), atol=2)
    np.testing.assert_allclose(
        (188,) * 3, colour_of(Image.fromarray(np.full((64, 96), 0x8000, np.uint16)), grey_profile(1.0)), atol=1
    )


def test_print_colours_are_those_of_their_press() -> None:
    """A JPEG for the press, also where it is scaled down."""
    red = new_image((1280, 1280), colour=(0, 255, 255, 0), mode="CMYK")
    found = read(encoded(red, "JPEG", icc_profile=cmyk_profile()), max_side=128)

    assert (128, 128) == found.size
    np.testing.assert_allclose((201, 41, 52), pixel(found, (50, 30)), atol=12)
    assert (255, 255, 255) == colour_of(new_image(colour=(0, 0, 0, 0), mode="CMYK"), cmyk_profile(), "JPEG")
