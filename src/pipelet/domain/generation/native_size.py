"""The size at which a model generates: one that it was trained for, nearest to the size that was requested."""

from functools import lru_cache

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.sizes import Size, fit_to_pixel_range, nearest_size


def native_size(requested: Size, model: ModelConfig) -> Size:
    """Return the size at which `model` generates an image of the size `requested`."""
    return _native_size(requested, model.size_multiple, model.native_sizes, model.native_pixels)


@lru_cache(maxsize=1024)  # every submit asks, and most ask for the same few sizes
def _native_size(requested: Size, multiple: int, native_sizes: tuple[str, ...], native_pixels: tuple[int, ...]) -> Size:
    whole = requested.rounded_up(multiple)
    if native_sizes:
        sizes = tuple(map(Size.parse, native_sizes))
        return requested if whole in sizes else nearest_size(requested, sizes)
    if native_pixels:
        low, high = native_pixels
        if not low <= whole.pixels <= high:
            return fit_to_pixel_range(requested, (low, high), multiple)
    return requested
