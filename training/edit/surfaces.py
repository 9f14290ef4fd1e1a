"""Pictures that fill their frame, made of noise: landscapes, rooms, wood, bricks, checks, and a photograph's blur.

They stand for photographs, which have no plain background to cut a thing out of.
"""

import colorsys
import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

_SIDE = 128


@lru_cache(maxsize=256)
def surface(seed: str, side: int) -> Floats:
    """Draw the surface of that number: RGB, 0 to 255, (side, side, 3)."""
    chance = random.Random(f"surface {seed}")
    drawn = chance.choice(_KINDS)(chance, np.random.default_rng(chance.randrange(2**32)))
    image = Image.fromarray(np.clip(drawn, 0, 255).astype(np.uint8))
    if side != _SIDE:
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32)


def _clouds(noise: np.random.Generator, *, roughness: float = 0.55, stretch: int = 1) -> Floats:
    """Noise of several sizes, mean about 0 and deviation 1: (side, side)."""
    total = np.zeros((_SIDE, _SIDE), np.float32)
    weight = 1.0
    for cells in (2, 4, 8, 16, 32):
        coarse = noise.standard_normal((cells, max(2, cells // stretch))).astype(np.float32)
        total += weight * np.asarray(Image.fromarray(coarse).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
        weight *= roughness
    return (total - total.mean()) / (total.std() + 1e-3)


def _colour(chance: random.Random) -> Floats:
    colour = colorsys.hsv_to_rgb(chance.random(), chance.uniform(0.1, 0.8), chance.uniform(0.25, 0.95))
    return np.array(colour, np.float32) * 255


def _mixed(first: Floats, second: Floats, share: Floats) -> Floats:
    """Mix one colour (or picture) with another, by a share for each pixel."""
    return first + (second - first) * np.clip(share, 0, 1)[..., None]


def _rows_and_columns() -> tuple[Floats, Floats]:
    rows, columns = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32) / _SIDE
    return rows, columns


def _blur(chance: random.Random, noise: np.random.Generator) -> Floats:
    """Soft patches of three colours, as behind a portrait."""
    roughness = chance.uniform(0.2, 0.6)
    patches = _mixed(_colour(chance), _colour(chance), 0.5 + 0.4 * _clouds(noise, roughness=roughness))
    return _mixed(patches, _colour(chance), 0.5 * _clouds(noise, roughness=roughness))


def _landscape(chance: random.Random, noise: np.random.Generator) -> Floats:
    """Sky above ground, with hills between them."""
    rows, columns = _rows_and_columns()
    sky = _mixed(_colour(chance), _colour(chance), rows * 1.5)
    sky = _mixed(sky, np.full(3, 240, np.float32), 0.3 * _clouds(noise, stretch=2))
    horizon = chance.uniform(0.35, 0.65)
    for depth in range(chance.randint(1, 3)):
        wave = chance.uniform(0.02, 0.1) * np.sin(columns * chance.uniform(3, 14) + chance.uniform(0, 6))
        ground = _mixed(_colour(chance), _colour(chance), 0.5 + 0.25 * _clouds(noise, stretch=2))
        sky = _mixed(sky, ground, (rows - horizon - 0.12 * depth - wave) * 60)
    return sky


def _room(chance: random.Random, noise: np.random.Generator) -> Floats:
    """A wall above a floor of planks, lit from one side."""
    rows, columns = _rows_and_columns()
    light = 0.75 + 0.25 * (columns if chance.random() < 0.5 else 1 - columns)
    wall = _mixed(_colour(chance), _colour(chance), 0.3 + 0.1 * _clouds(noise))
    edge = chance.uniform(0.5, 0.75)
    spread = (columns - 0.5) / (rows - edge + 0.3)
    gaps = (np.abs((spread * chance.uniform(3, 8)) % 1 - 0.5) > 0.46).astype(np.float32)
    floor = _mixed(_colour(chance), _colour(chance), 0.3 + 0.15 * _clouds(noise)) * (1 - 0.4 * gaps[..., None])
    return _mixed(wall, floor, (rows - edge) * 80) * light[..., None]


def _wood(chance: random.Random, noise: np.random.Generator) -> Floats:
    """Rings and grain along one direction."""
    rows, columns = _rows_and_columns()
    across = rows if chance.random() < 0.5 else columns
    rings = np.sin((across * chance.uniform(4, 16) + 0.3 * _clouds(noise, roughness=0.4)) * 6)
    colour = _colour(chance)
    return _mixed(colour, colour * 0.55, 0.5 + 0.3 * rings + 0.08 * _clouds(noise, roughness=0.9))


def _bricks(chance: random.Random, noise: np.random.Generator) -> Floats:
    rows, columns = _rows_and_columns()
    high, wide = chance.randint(3, 8), chance.randint(2, 5)
    row = np.floor(rows * high)
    along = columns * wide + 0.5 * (row % 2)
    joint = ((rows * high) % 1 < 0.12) | (along % 1 < 0.06)
    tone = noise.uniform(0.7, 1.1, (high + 1, wide + 2)).astype(np.float32)[row.astype(int), along.astype(int)]
    stones = _colour(chance) * tone[..., None] * (1 + 0.06 * _clouds(noise, roughness=0.9)[..., None])
    return _mixed(stones, _colour(chance), joint.astype(np.float32))


def _checks(chance: random.Random, noise: np.random.Generator) -> Floats:
    """Checks or stripes at an angle, and a shadow over them."""
    rows, columns = _rows_and_columns()
    angle, count = chance.uniform(0, 3.14), chance.uniform(2, 8)
    along = (columns * np.cos(angle) + rows * np.sin(angle)) * count
    across = (rows * np.cos(angle) - columns * np.sin(angle)) * count
    fields = np.sin(along * 6.28) * (np.sin(across * 6.28) if chance.random() < 0.5 else 1)
    return _mixed(_colour(chance), _colour(chance), 0.5 + 4 * fields) * (1 + 0.1 * _clouds(noise)[..., None])


_KINDS: tuple[Callable[[random.Random, np.random.Generator], Floats], ...] = (
    _blur,
    _landscape,
    _landscape,
    _room,
    _wood,
    _bricks,
    _checks,
)
