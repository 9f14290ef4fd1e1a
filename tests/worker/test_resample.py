"""Pixels of one size to pixels of another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelet.domain.generation.sizes import Size
from pipelet.worker.images.resample import fit_inside, place_on_canvas, resample

LANCZOS = Image.Resampling.LANCZOS
sides = st.integers(1, 70)
colours = np.random.default_rng(1).integers(0, 256, (70, 70, 3), np.uint8)


@given(sides, sides, sides, sides)
@settings(deadline=None)
def test_the_size_is_exact(width: int, height: int, wanted_width: int, wanted_height: int) -> None:
    """Whatever was generated and whatever was asked for, the pixels have the size asked for."""
    resampled = resample(colours[:height, :width], Size(wanted_width, wanted_height))

    assert (wanted_height, wanted_width, 3) == resampled.shape


def test_the_same_size_is_the_same_image() -> None:
    """Nothing is filtered where nothing is scaled."""
    np.testing.assert_array_equal(colours, resample(colours, Size(70, 70)))


def test_what_is_only_too_wide_is_only_cropped() -> None:
    """The middle, untouched."""
    np.testing.assert_array_equal(colours[:, 10:60], resample(colours, Size(50, 70)))


@pytest.mark.parametrize(("width", "height"), [(640, 160), (160, 640), (800, 800), (16, 4)])
def test_the_image_is_cropped_evenly_and_not_distorted(width: int, height: int) -> None:
    """A disc in the middle stays a disc in the middle."""
    y, x = np.mgrid[:64, :64] - 31.5
    disc = np.where((x**2 + y**2 < 15**2)[..., None], np.full(3, 255, np.uint8), np.zeros(3, np.uint8))

    resampled = resample(disc, Size(width, height))[..., 0] > 127

    np.testing.assert_array_equal(resampled, resampled[::-1, ::-1])
    scale = max(width, height) / 64
    assert pytest.approx(min(30 * scale, width), rel=0.1, abs=1) == resampled.sum(1).max()
    assert pytest.approx(min(30 * scale, height), rel=0.1, abs=1) == resampled.sum(0).max()


@given(sides, sides, sides, sides, sides, sides)
@settings(deadline=None)
def test_a_placed_image_fills_the_canvas(
    width: int, height: int, asked_width: int, asked_height: int, generated_width: int, generated_height: int
) -> None:
    """Whatever its size, whatever was asked for, and whatever is generated."""
    asked, generated = Size(asked_width, asked_height), Size(generated_width, generated_height)

    assert (generated_height, generated_width, 3) == place_on_canvas(colours[:height, :width], asked, generated).shape


@given(sides, sides, sides, sides)
@settings(deadline=None)
def test_a_fitted_image_has_the_size_that_was_asked_for(width: int, height: int, wide: int, high: int) -> None:
    """Whatever it had before; one of that size stays as it is."""
    fitted = fit_inside(colours[:height, :width], Size(wide, high))

    assert (high, wide, 3) == fitted.shape
    np.testing.assert_array_equal(fitted, fit_inside(fitted, Size(wide, high)))


def test_a_fitted_image_is_seen_whole_on_the_colour_of_its_border() -> None:
    """Scaled as far as it fits inside, in the middle; what is left is the colour that most of its edge has."""
    wide = np.full((32, 64, 3), (10, 20, 30), np.uint8)
    wide[8:24, 16:48] = 255
    wide[0, :20] = 0  # less than half of the edge

    fitted = fit_inside(wide, Size(128, 128))

    np.testing.assert_array_equal(np.asarray(Image.fromarray(wide).resize((128, 64), LANCZOS)), fitted[32:96])
    assert {(10, 20, 30)} == {tuple(map(int, pixel)) for pixel in fitted[[*range(32), *range(96, 128)]].reshape(-1, 3)}
    small = fit_inside(fitted, Size(64, 64))
    assert (64, 64, 3) == small.shape
    assert small[28:36, 28:36].min() > 250


def test_what_was_placed_comes_back() -> None:
    """Of a size as asked for, on a canvas that is only wider: not a pixel is another; scaled there and back, hardly."""
    image = colours[:60, :50]

    np.testing.assert_array_equal(image, resample(place_on_canvas(image, Size(50, 60), Size(70, 60)), Size(50, 60)))
    y, x = np.mgrid[:60, :50].astype(np.float32)
    smooth = np.stack([x * 4, y * 4, x + y], axis=-1).astype(np.uint8)
    back = resample(place_on_canvas(smooth, Size(50, 60), Size(128, 128)), Size(50, 60))
    assert np.abs(back.astype(float) - smooth).max() < 8
