"""Image sizes, and the size a model was trained for that is nearest to a requested one."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Parse `384x256`; raise ValueError for anything else."""
        match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", text)
        if match is None:
            raise ValueError(f"{text!r} is not a size such as 384x256")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def megapixels(self) -> float:
        return self.pixels / 1e6

    def rounded_up(self, multiple: int) -> "Size":
        return Size(_round_up(self.width, multiple), _round_up(self.height, multiple))

    def clamp_sides(self, low: int, high: int, width: int | None = None, height: int | None = None) -> "Size":
        """Return the size of this aspect ratio, as nearly as sides from `low` to `high` allow; a given side is kept."""
        if width is not None or height is not None:
            wide = width if width is not None else round((height or 0) * self.width / self.height)
            high_ = height if height is not None else round((width or 0) * self.height / self.width)
        else:
            scale = max(1.0, low / min(self.width, self.height))
            scale = min(scale, high / max(self.width, self.height))
            wide, high_ = round(self.width * scale), round(self.height * scale)
        return Size(min(max(wide, low), high), min(max(high_, low), high))


def nearest_size(requested: Size, sizes: Sequence[Size]) -> Size:
    """Return the size of the nearest aspect ratio.

    Of several such sizes, return the smallest that covers `requested`, else the largest.
    """

    def key(size: Size) -> tuple[float, bool, int]:
        covers = size.width >= requested.width and size.height >= requested.height
        return _aspect_distance(size, requested), not covers, size.pixels if covers else -size.pixels

    return min(sizes, key=key)


def fit_to_pixel_range(requested: Size, pixels: tuple[int, int], multiple: int) -> Size:
    """Return a size of the aspect ratio of `requested` as nearly as multiples allow, with an area in `pixels`.

    Takes the nearer end of the range: the least work for a small image, the most detail for a large one. Sides are
    rounded such that the size, scaled, covers `requested` with the least left over.
    """
    low, high = pixels
    upright = requested.height > requested.width
    shorter, longer = sorted((requested.width, requested.height))
    if requested.rounded_up(multiple).pixels < low:
        long = _round_up(math.ceil(math.sqrt(low * longer / shorter)), multiple)
    else:
        long = math.isqrt(high * longer // shorter) // multiple * multiple
    while True:
        short = _round_up(-(-long * shorter // longer), multiple)
        if long * short <= high or long <= multiple:
            return Size(short, long) if upright else Size(long, short)
        long -= multiple


def shrink_to_pixels(size: Size, pixels: int) -> Size:
    """Return `size`, scaled down where it has more than `pixels`."""
    if size.pixels <= pixels:
        return size
    scale = math.sqrt(pixels / size.pixels)
    return Size(max(1, int(size.width * scale)), max(1, int(size.height * scale)))


def _aspect_distance(a: Size, b: Size) -> float:
    """Distance of two aspect ratios: 1 where they are equal; 2:1 is as far from 1:1 as 1:2."""
    one, other = a.width * b.height, a.height * b.width
    return max(one, other) / min(one, other)


def _round_up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
