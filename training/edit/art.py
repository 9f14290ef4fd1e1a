"""What a reference can show: things in many colourings, doodles, and surfaces that fill the picture.

Nothing here is to be remembered, so each of them comes in more versions than any training sees.
"""

import colorsys
import hashlib
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from training.edit.surfaces import Floats, surface
from training.scenes import sprite
from training.vocabulary import vocabulary

COLOURINGS = ((0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2))
"""The orders of red, green and blue that training sees."""
HELD_OUT_COLOURINGS = ((0, 2, 1), (2, 1, 0))

TINTS = {
    "red": 0.0,
    "orange": 0.08,
    "yellow": 0.145,
    "green": 0.36,
    "blue": 0.6,
    "purple": 0.77,
    "pink": 0.9,
}
"""What a thing can be recoloured to, as hues from 0 to 1."""

_DOODLES = 100_000


@dataclass(frozen=True)
class Look:
    """What one thing looks like.

    Attributes:
        kind: "art", "doodle" or "surface".
        name: The file in ``training/art`` without its ending, or a number that a doodle or a surface is drawn from.
        colouring: The order of its colour channels.
        mirrored: Whether left and right are exchanged.
        tint: A key of `TINTS`, or empty for its own colours.
    """

    kind: str
    name: str
    colouring: tuple[int, int, int] = (0, 1, 2)
    mirrored: bool = False
    tint: str = ""

    def pixels(self, side: int) -> Floats:
        """Draw it: RGBA with premultiplied alpha, 0 to 255, (side, side, 4)."""
        if self.kind == "art":
            own = sprite(self.name, side)
        elif self.kind == "doodle":
            own = np.asarray(_doodle(self.name).resize((side, side), Image.Resampling.LANCZOS), np.float32)
        else:
            opaque = np.full((side, side, 1), 255, np.float32)
            own = np.concatenate([surface(self.name, side), opaque], -1)
        own = own[..., [*self.colouring, 3]]
        if self.mirrored:
            own = own[:, ::-1]
        return _tinted(own, self.tint) if self.tint else own


@dataclass(frozen=True)
class Gallery:
    """Looks to choose from.

    Attributes:
        arts: Files in ``training/art``.
        colourings: The orders of colour channels.
        doodles: The share of doodles.
        surfaces: The share of surfaces.
    """

    arts: tuple[str, ...]
    colourings: tuple[tuple[int, int, int], ...] = COLOURINGS
    doodles: float = 0.2
    surfaces: float = 0.08

    def draw(self, chance: random.Random) -> Look:
        turn = chance.random()
        colouring, mirrored = chance.choice(self.colourings), chance.random() < 0.5
        if turn < self.doodles:
            return Look("doodle", str(chance.randrange(_DOODLES)), colouring, mirrored)
        if turn < self.doodles + self.surfaces:
            return Look("surface", str(chance.randrange(_DOODLES)), colouring, mirrored)
        return Look("art", chance.choice(self.arts), colouring, mirrored)


def is_held_out(art: str) -> bool:
    """Whether training never sees this thing, in any colouring: about one in six, always the same ones."""
    return hashlib.sha256(f"edit{art}".encode()).digest()[0] < 51


_OBJECTS = tuple(sorted({thing.art for thing in vocabulary().objects}))
_SHAPES = tuple(sorted({thing.art for thing in vocabulary().shapes}))
SEEN = Gallery((*(art for art in _OBJECTS if not is_held_out(art)), *_SHAPES))
HELD_OUT = Gallery(tuple(art for art in _OBJECTS if is_held_out(art)), ((0, 1, 2),), doodles=0, surfaces=0)
RECOLOURED = Gallery(SEEN.arts, HELD_OUT_COLOURINGS, doodles=0, surfaces=0)


def _tinted(pixels: Floats, tint: str) -> Floats:
    """Recolour to shades of one colour: dark stays dark, white stays white."""
    cover = np.maximum(pixels[..., 3:], 1) / 255
    light = (pixels[..., :3] @ np.array([0.3, 0.59, 0.11], np.float32))[..., None] / cover / 255
    full = np.array(colorsys.hsv_to_rgb(TINTS[tint], 0.85, 0.95), np.float32)
    shade = np.where(light < 0.6, light / 0.6 * full, full + (light - 0.6) / 0.4 * (1 - full))
    return np.concatenate([np.clip(shade, 0, 1) * 255 * cover, pixels[..., 3:]], -1).astype(np.float32)


@lru_cache(maxsize=512)
def _doodle(seed: str) -> Image.Image:
    """Two to five coloured shapes over each other, the first and largest beneath."""
    chance = random.Random(f"doodle {seed}")
    image = Image.new("RGBA", (256, 256))
    draw = ImageDraw.Draw(image)
    for number in range(chance.randint(2, 5)):
        colour = (*(chance.randrange(256) for _ in range(3)), 255)
        if number == 0:
            left, top = chance.randint(0, 60), chance.randint(0, 60)
            right, bottom = chance.randint(196, 255), chance.randint(196, 255)
        else:
            left, top = chance.randint(0, 180), chance.randint(0, 180)
            right = min(255, left + chance.randint(40, 140))
            bottom = min(255, top + chance.randint(40, 140))
        box = (left, top, right, bottom)
        shape = chance.randrange(4)
        if shape == 0:
            draw.ellipse(box, fill=colour)
        elif shape == 1:
            draw.rectangle(box, fill=colour)
        elif shape == 2:
            draw.polygon([(left, bottom), ((left + right) // 2, top), (right, bottom)], fill=colour)
        else:
            draw.rounded_rectangle(box, 30, fill=colour)
    return image.convert("RGBa")
