"""Sizes of pictures, and which of those that a model was trained for comes nearest to one that was asked for."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """`384x256`; ValueError for anything else."""
        match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", text)
        if match is None:
            raise ValueError(f"{text!r} is no size such as 384x256")
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

    def within(self, low: int, high: int, width: int | None = None, height: int | None = None) -> "Size":
        """Of this aspect ratio, as nearly as sides from `low` to `high` allow; where one side is given, with that."""
        if width is not None or height is not None:
            wide = width if width is not None else round((height or 0) * self.width / self.height)
            high_ = height if height is not None else round((width or 0) * self.height / self.width)
        else:
            scale = max(1.0, low / min(self.width, self.height))
            scale = min(scale, high / max(self.width, self.height))
            wide, high_ = round(self.width * scale), round(self.height * scale)
        return Size(min(max(wide, low), high), min(max(high_, low), high))

    def covers(self, other: "Size") -> bool:
        return self.width >= other.width and self.height >= other.height


def nearest(asked: Size, sizes: Sequence[Size]) -> Size:
    """The one whose aspect ratio is nearest; of several such, the smallest that covers `asked`, else the largest."""

    def key(size: Size) -> tuple[float, bool, int]:
        covers = size.covers(asked)
        return _unlikeness(size, asked), not covers, size.pixels if covers else -size.pixels

    return min(sizes, key=key)


def scaled_into(asked: Size, pixels: tuple[int, int], multiple: int) -> Size:
    """Of `asked`'s aspect ratio, as nearly as multiples allow, and of an area in the range `pixels`.

    The nearer end of the range: the least work for a small picture, the most detail for a large one. Sides are rounded
    such that the size, scaled, covers `asked` with the least left over.
    """
    low, high = pixels
    upright = asked.height > asked.width
    shorter, longer = sorted((asked.width, asked.height))
    if asked.rounded_up(multiple).pixels < low:
        long = _round_up(math.ceil(math.sqrt(low * longer / shorter)), multiple)
    else:
        long = math.isqrt(high * longer // shorter) // multiple * multiple
    while True:
        short = _round_up(-(-long * shorter // longer), multiple)
        if long * short <= high or long <= multiple:
            return Size(short, long) if upright else Size(long, short)
        long -= multiple


def shrunk_to(size: Size, pixels: int) -> Size:
    """`size`, or of its aspect ratio what has no more than `pixels`."""
    if size.pixels <= pixels:
        return size
    scale = math.sqrt(pixels / size.pixels)
    return Size(max(1, int(size.width * scale)), max(1, int(size.height * scale)))


def _unlikeness(a: Size, b: Size) -> float:
    """Of aspect ratios: 1 where they are the same; as far from 2:1 to 1:1 as from 1:1 to 1:2."""
    one, other = a.width * b.height, a.height * b.width
    return max(one, other) / min(one, other)


def _round_up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
