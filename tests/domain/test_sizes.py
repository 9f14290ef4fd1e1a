"""At which size a model generates what was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.plan import native_size
from pipelet.domain.generation.sizes import Size, fit_to_pixel_range, nearest_size

SMALL = ("256x256", "320x256", "256x320", "384x256", "256x384", "512x256", "256x512")
PIXELS = (512 * 512, 2048 * 2048)

sides = st.integers(64, 4096)
size_lists = st.lists(st.builds(Size, st.integers(1, 64), st.integers(1, 64)), min_size=1, max_size=8)


def generated(asked: str, **fields: object) -> str:
    """What a model of these fields generates where `asked` was asked for."""
    size = Size.parse(asked)
    model = ModelConfig(name="m", source="x", **fields)  # type: ignore[arg-type]
    return str(native_size(size, model))


@pytest.mark.parametrize(
    ("asked", "at"),
    [
        ("384x256", "384x256"),  # trained for
        ("370x250", "370x250"),  # the next multiple is: cropped, as ever
        ("3200x2000", "384x256"),
        ("2000x3200", "256x384"),
        ("1024x1024", "256x256"),
        ("64x64", "256x256"),
        ("1920x1080", "512x256"),
        ("4096x64", "512x256"),
        ("500x400", "320x256"),
    ],
)
def test_a_list_of_sizes(asked: str, at: str) -> None:
    """What is not on the list is generated at the size on it whose aspect ratio is nearest."""
    assert at == generated(asked, native_sizes=SMALL, size_multiple=32)


@pytest.mark.parametrize(
    ("asked", "at"),
    [
        ("1024x1024", "1024x1024"),
        ("2048x2048", "2048x2048"),
        ("4096x1000", "4096x1000"),
        ("513x511", "513x511"),
        ("3200x2000", "2576x1616"),
        ("2000x3200", "1616x2576"),
        ("4096x4096", "2048x2048"),
        ("256x256", "512x512"),
        ("64x64", "512x512"),
        ("300x100", "896x304"),
    ],
)
def test_a_range_of_areas(asked: str, at: str) -> None:
    """What is within the range is generated as it is; what is not, in its own aspect ratio at the nearer end."""
    assert at == generated(asked, native_pixels=PIXELS)


def test_a_model_that_names_none_generates_what_was_asked_for() -> None:
    """Without native sizes every size is the model's own."""
    assert "4001x65" == generated("4001x65")


def test_of_several_of_one_shape_the_smallest_that_suffices() -> None:
    """Detail is not invented where the model can generate it, and none is generated to be thrown away."""
    squares = ("256x256", "1024x1024", "512x512")

    sizes = [generated(asked, native_sizes=squares) for asked in ("100x100", "300x300", "600x600", "3000x3000")]
    assert ["256x256", "512x512", "1024x1024", "1024x1024"] == sizes


@given(st.builds(Size, sides, sides), size_lists)
def test_the_nearest_shape_on_its_side_is_the_nearest_shape(asked: Size, sizes: list[Size]) -> None:
    """Choosing does not favour width over height: everything turned by 90 degrees, the choice is the same, turned."""
    turned = [Size(size.height, size.width) for size in sizes]
    chosen = nearest_size(asked, sizes)

    assert chosen in sizes
    assert Size(chosen.height, chosen.width) == nearest_size(Size(asked.height, asked.width), turned)


@given(st.builds(Size, sides, sides), st.sampled_from([8, 16, 32]))
def test_a_scaled_size_keeps_the_shape(asked: Size, multiple: int) -> None:
    """It consists of multiples, is within the range, and covering `asked` with it cuts off less than a multiple."""
    low, high = PIXELS
    size = fit_to_pixel_range(asked, (low, high), multiple)
    scale = max(asked.width / size.width, asked.height / size.height)

    assert size == size.rounded_up(multiple)
    assert low / 4 <= size.pixels <= high
    assert size.width - asked.width / scale < multiple
    assert size.height - asked.height / scale < multiple


@given(sides, sides, st.sampled_from([{"native_sizes": SMALL}, {"native_pixels": PIXELS}, {}]))
def test_a_native_size_is_generated_as_it_is(width: int, height: int, fields: dict[str, tuple[int, ...]]) -> None:
    """A size that was chosen is one that the model was trained for: asked for itself, it is not changed again."""
    model = ModelConfig(name="m", source="x", size_multiple=32, **fields)  # type: ignore[arg-type]
    chosen = native_size(Size(width, height), model)

    assert chosen == native_size(chosen, model)
