"""Scenes: things on a coloured background, as data and as pixels.

Sizes and places keep to a grid of 16 pixels, which is what one latent of the autoencoder stands for: the same thing
then gives the same latents wherever it stands, and there is far less to learn.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.vocabulary import Colour, Thing

GRID = 16
SMALL, MEDIUM, LARGE = 128, 192, 224
"""Sides of a thing, in pixels: few of them, since every size of a thing must be learnt by itself."""

PLACES = {
    "on the left": (0.25, 0.5),
    "on the right": (0.75, 0.5),
    "at the top": (0.5, 0.25),
    "at the bottom": (0.5, 0.75),
    "in the top left corner": (0.25, 0.25),
    "in the top right corner": (0.75, 0.25),
    "in the bottom left corner": (0.25, 0.75),
    "in the bottom right corner": (0.75, 0.75),
}
"""Where a thing can be asked to stand: its centre as shares of width and height."""


@dataclass(frozen=True)
class Placed:
    """A thing in a scene: how large (pixels, a side) and where its centre is (shares of width and height)."""

    thing: Thing
    size: int
    x: float = 0.5
    y: float = 0.5


@dataclass(frozen=True)
class Scene:
    """A picture to be: ``background`` is the colour really painted, near the one that the caption names."""

    width: int
    height: int
    background: Colour
    things: tuple[Placed, ...]


@cache
def sprite(art: str, size: int) -> NDArray[np.float32]:
    """A thing's picture at a size, RGBA with premultiplied alpha, 0 to 255: float32 (size, size, 4)."""
    with files("training").joinpath(f"art/{art}.webp").open("rb") as file:
        image = Image.open(file).convert("RGBa").resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32)


def corner(placed: Placed, width: int, height: int) -> tuple[int, int]:
    """Left and top of a placed thing, in pixels, on the grid."""
    left = round((placed.x * width - placed.size / 2) / GRID) * GRID
    top = round((placed.y * height - placed.size / 2) / GRID) * GRID
    return left, top


def render(scene: Scene) -> NDArray[np.uint8]:
    """Paint a scene: uint8 (height, width, 3)."""
    canvas = np.empty((scene.height, scene.width, 3), np.float32)
    canvas[:] = scene.background
    for placed in scene.things:
        left, top = corner(placed, scene.width, scene.height)
        paste(canvas, sprite(placed.thing.art, placed.size), top, left)
    return finished(canvas)


def paste(canvas: NDArray[np.float32], pixels: NDArray[np.float32], top: int, left: int) -> None:
    """Lay a thing, RGBA with premultiplied alpha, over a canvas, whose borders may cut it off."""
    above, before = max(0, -top), max(0, -left)
    pixels = pixels[above : canvas.shape[0] - top, before : canvas.shape[1] - left]
    spot = canvas[max(0, top) :, max(0, left) :][: pixels.shape[0], : pixels.shape[1]]
    spot *= 1 - pixels[..., 3:] / 255
    spot += pixels[..., :3]


def finished(canvas: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round the levels of a canvas."""
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
