"""What the demo model knows: things to draw, their names, and colours to draw them on.

The words are data, in ``vocabulary.toml``; the pictures of the things are Fluent emoji in ``art/`` (see its NOTICE).
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Thing:
    """One thing that can be drawn.

    Attributes:
        name: What it is called where it must be named once: "red apple", "blue circle".
        art: The file in ``art/`` without its ending.
        words: Every name it answers to, ``name`` first.
        shape: "circle" for "blue circle"; empty for what is no shape.
        colour: "blue" for "blue circle"; empty for what is no shape.
    """

    name: str
    art: str
    words: tuple[str, ...]
    shape: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """Everything that a caption can name.

    Attributes:
        things: In a fixed order, objects first, then shapes in all their colours.
        backgrounds: The colour of each named background.
    """

    things: tuple[Thing, ...]
    backgrounds: dict[str, Colour]

    @property
    def objects(self) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if not thing.shape)

    @property
    def shapes(self) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if thing.shape)

    def thing(self, name: str) -> Thing:
        """Return the thing of that name.

        Raises:
            KeyError: Nothing is called so.
        """
        return _by_name(self)[name]


def _by_name(vocabulary: Vocabulary) -> dict[str, Thing]:
    return {thing.name: thing for thing in vocabulary.things}


@cache
def vocabulary() -> Vocabulary:
    """Read ``vocabulary.toml``."""
    data = tomllib.loads(files("training").joinpath("vocabulary.toml").read_text("utf-8"))
    objects = [
        Thing(name=name, art=entry["art"], words=(name, *entry["also"])) for name, entry in data["objects"].items()
    ]
    shapes = [
        Thing(
            name=f"{colour} {shape}",
            art=art,
            words=tuple(f"{colour} {word}" for word in (shape, *entry["also"])),
            shape=shape,
            colour=colour,
        )
        for shape, entry in data["shapes"].items()
        for colour, art in entry["art"].items()
    ]
    backgrounds = {name: (red, green, blue) for name, (red, green, blue) in data["backgrounds"].items()}
    return Vocabulary(things=(*objects, *shapes), backgrounds=backgrounds)


@cache
def nearest_words() -> dict[str, list[str]]:
    """Words that are no thing's own, by the name of the thing that is nearest to what they mean."""
    words: dict[str, list[str]] = tomllib.loads(files("training").joinpath("nearest_words.toml").read_text("utf-8"))
    return words
