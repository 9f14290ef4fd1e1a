"""Looks at a picture and says what is on it. It knows the things and colours that can be asked for, and no model.

A thing is recognised by its likeness to the real one: the picture and every thing, at many sizes and places, are
reduced to cells of eight by eight pixels, and the one whose colours and edges differ least comes first. Cells are
coarse enough to forgive soft drawing; how soft it is is another question, which `sharpness` answers.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from training.captions import Captioned
from training.scenes import PLACES, render, sprite
from training.vocabulary import Thing, vocabulary

Picture = NDArray[np.uint8]
"""(height, width, 3)"""
Floats = NDArray[np.float32]

CELL = 8
SIZES = range(80, 248, CELL)
"""Sides, in pixels, at which a thing is looked for: more than are trained, for a model that does not quite hit them."""
REACH = 2
"""A thing is looked for this many cells around where it should be."""
_FRAME = 12
"""Pixels along the border, whose median is background: a thing reaches into a quarter of them at most."""
_EDGES = 1.0
"""What the difference between neighbouring cells weighs, next to the cells' own."""
_FAINT = 16.0
"""Cells nearer to the background's colour are background."""


class Area(NamedTuple):
    """Part of a picture, as shares of its width and height."""

    left: float = 0
    top: float = 0
    right: float = 1
    bottom: float = 1

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of this part."""
        rows = slice(round(self.top * height), round(self.bottom * height))
        return rows, slice(round(self.left * width), round(self.right * width))


WHOLE = Area()
LEFT, RIGHT = Area(right=0.5), Area(left=0.5)
TOP, BOTTOM = Area(bottom=0.5), Area(top=0.5)


class Seen(NamedTuple):
    """A thing that the picture may show, at its likeliest size; `error` is less for a better likeness."""

    thing: Thing
    size: int
    error: float


@dataclass(frozen=True)
class Verdict:
    """What a picture shows of what was asked for.

    Attributes:
        ranks: For each thing asked for, how many others are more like what stands in its place; 0 is right.
        place: Whether a thing that was asked for at a place stands there. Anything else is looked for in one place
            only, so there it is always true.
        sizes: The size that each thing asked for seems to have.
        sharpness: See the function.
    """

    background: bool
    ranks: tuple[int, ...]
    place: bool
    sizes: tuple[int, ...]
    sharpness: float

    @property
    def right(self) -> bool:
        """Everything is as asked for."""
        return self.background and self.place and not any(self.ranks)


def judge(picture: Picture, asked: Captioned) -> Verdict:
    ranks, sizes = [], []
    for thing, seen in zip((placed.thing for placed in asked.scene.things), _sights(picture, asked), strict=True):
        rank = next(rank for rank, one in enumerate(seen) if one.thing == thing)
        ranks.append(rank)
        sizes.append(seen[rank].size)
    return Verdict(
        background=background(picture) == asked.background,
        ranks=tuple(ranks),
        place=not asked.place or position(picture) == asked.place,
        sizes=tuple(sizes),
        sharpness=sharpness(picture, original(picture, asked)),
    )


def background(picture: Picture) -> str:
    """Name the colour that the picture's background is nearest to."""
    colour, named = frame_colour(picture), vocabulary().backgrounds
    return min(named, key=lambda name: float(np.square(colour - named[name]).sum()))


def frame_colour(picture: Picture) -> Floats:
    """The background's colour as painted: (3,)."""
    sides = [picture[:_FRAME], picture[-_FRAME:], picture[:, :_FRAME], picture[:, -_FRAME:]]
    return np.median(np.concatenate([side.reshape(-1, 3) for side in sides]), 0).astype(np.float32)


def position(picture: Picture) -> str:
    """Name the place of the one thing on the picture: a key of `PLACES`, or nothing for the middle."""
    strength = np.clip(np.linalg.norm(_cells(picture) - frame_colour(picture), axis=-1) - _FAINT, 0, 64)
    if not strength.any():
        return ""
    rows, columns = (np.arange(count) + 0.5 for count in strength.shape)
    x = float(strength.sum(0) @ columns / strength.sum() / len(columns))
    y = float(strength.sum(1) @ rows / strength.sum() / len(rows))
    places = {"": WHOLE.centre, **PLACES}
    return min(places, key=lambda name: (x - places[name][0]) ** 2 + (y - places[name][1]) ** 2)


def recognise(picture: Picture, at: tuple[float, float] = WHOLE.centre, within: Area = WHOLE) -> list[Seen]:
    """Rank all things by their likeness to what stands around `at`. What is outside of `within` is not looked at."""
    colour = frame_colour(picture)
    cells = _cells(picture)
    height, width = cells.shape[:2]
    rows, columns = within.slices(height, width)
    off = np.zeros_like(cells)
    off[rows, columns] = cells[rows, columns] - colour
    # A reference is its own colours plus what it leaves of the background's. So that it can be made before the
    # background is known, its cover counts as a fourth channel, and the picture gets the matching one.
    seen = np.concatenate([off, -(off @ colour)[..., None]], -1)
    seen = np.pad(seen, ((height, height), (width, width), (0, 0)))
    room = 1.25 * CELL * min(off[rows, columns].shape[:2])
    sizes = [size for size in SIZES if size <= room]
    found = []
    for size in sizes:
        references = _references(size)
        side = references.side
        top = height + round(at[1] * height - side / 2) - REACH
        left = width + round(at[0] * width - side / 2) - REACH
        around = seen[top : top + side + 2 * REACH, left : left + side + 2 * REACH]
        windows = sliding_window_view(around, (side, side), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
        found.append(references.errors(windows.reshape(-1, side * side * 4), colour).min(0))
    errors = np.stack(found)
    best, at_size = errors.min(0), errors.argmin(0)
    return [Seen(vocabulary().things[k], sizes[at_size[k]], float(best[k])) for k in best.argsort()]


def sharpness(picture: Picture, reference: Picture) -> float:
    """The energy of the picture's edges as a share of the real one's: 1 for the real one, less for a soft drawing."""
    return _edge_energy(picture) / _edge_energy(reference)


def original(picture: Picture, asked: Captioned) -> Picture:
    """The real picture of what was asked for, on the background that `picture` has."""
    red, green, blue = (round(float(level)) for level in frame_colour(picture))
    return render(replace(asked.scene, background=(red, green, blue)))


def _sights(picture: Picture, asked: Captioned) -> list[list[Seen]]:
    """What is seen where each thing was asked for."""
    if asked.kind == "pair":
        halves = (TOP, BOTTOM) if asked.above else (LEFT, RIGHT)
        return [recognise(picture, half.centre, half) for half in halves]
    placed = asked.scene.things[0]
    return [recognise(picture, (placed.x, placed.y))]


@dataclass(frozen=True)
class _References:
    """All things at one size, ready to be compared with windows of `side` by `side` cells.

    The error of a window is its difference from a reference, squared, plus that of the neighbouring cells' differences.
    With A for both at once that is w'Aw - 2 w'Ar + r'Ar. The first is the same for all, so it is left out; A is applied
    to the references, here, and what r'Ar has to do with the background's colour is multiplied out.
    """

    side: int
    weighted: Floats
    """Ar: (things, side * side * 4)."""
    colours: Floats
    """r'Ar of the three colours: (things,)."""
    mixed: Floats
    """r'Ar of each colour and the cover: (things, 3)."""
    cover: Floats
    """r'Ar of the cover: (things,)."""

    def errors(self, windows: Floats, background: Floats) -> Floats:
        """(windows, things)"""
        own = self.colours - 2 * self.mixed @ background + self.cover * (background @ background)
        return own - 2 * windows @ self.weighted.T


@cache
def _arts() -> list[Image.Image]:
    """Every thing, with premultiplied alpha."""
    large = [sprite(thing.art, 256).clip(0, 255).round().astype(np.uint8) for thing in vocabulary().things]
    return [Image.fromarray(pixels, "RGBa") for pixels in large]


@cache
def _references(size: int) -> _References:
    side = size // CELL
    things = [np.asarray(art.resize((side, side), Image.Resampling.LANCZOS), np.float32) for art in _arts()]
    cells = np.pad(np.stack(things), ((0, 0), (1, 1), (1, 1), (0, 0)))
    cells[..., 3] /= 255
    weighted = (1 + 4 * _EDGES) * cells
    for axis in (1, 2):
        weighted -= _EDGES * (np.roll(cells, 1, axis) + np.roll(cells, -1, axis))
    return _References(
        side=cells.shape[1],
        weighted=weighted.reshape(len(cells), -1),
        colours=(cells * weighted)[..., :3].sum((1, 2, 3)),
        mixed=(cells[..., :3] * weighted[..., 3:]).sum((1, 2)),
        cover=(cells * weighted)[..., 3].sum((1, 2)),
    )


def _cells(picture: Picture) -> Floats:
    height, width = picture.shape[:2]
    reduced = Image.fromarray(picture).resize((width // CELL, height // CELL), Image.Resampling.LANCZOS)
    return np.asarray(reduced, np.float32)


def _edge_energy(picture: Picture) -> float:
    levels = picture.astype(np.float32)
    return float(np.square(np.diff(levels, axis=0)).mean() + np.square(np.diff(levels, axis=1)).mean())
