"""What an edit is asked to do: references, and the picture that is wanted, as data and as pixels.

A reference is 128 pixels a side, the picture 256. What is copied keeps its size and moves by whole tokens (32 pixels):
a reference fills one of the places, without its background.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.edit.art import SEEN, TINTS, Gallery, Look
from training.edit.surfaces import Floats
from training.scenes import finished, paste
from training.vocabulary import Colour, vocabulary

Picture = NDArray[np.uint8]
"""(side, side, 3)"""

FRAME, SIDE = 128, 256

PLACES = {
    "middle": (64, 64),
    "left": (64, 0),
    "right": (64, 128),
    "top": (0, 64),
    "bottom": (128, 64),
    "top left": (0, 0),
    "top right": (0, 128),
    "bottom left": (128, 0),
    "bottom right": (128, 128),
}
"""Row and column where a place starts: each has the size of a reference."""

KINDS = {
    "words": 0,
    "one": 1,
    "background": 1,
    "move": 1,
    "recolour": 1,
    "remove": 1,
    "pair": 2,
    "above": 2,
    "before": 2,
    "three": 3,
    "room": 3,
}
"""What can be asked for, and how many references it takes.

- words: one or two things, drawn from their names alone.
- one: the thing of the reference, somewhere, on a named background.
- background, move, recolour, remove: an instruction for one reference.
- pair, above: two things, next to each other or one above the other.
- before: one thing, and the second reference behind it, over the whole picture.
- three: a pair, above a third one.
- room: two things, and the third reference behind them.
"""

DEFAULT_BACKGROUND = "white"
_SIZES = range(80, 121, 8)
_HALF_SIZES = range(48, 65, 8)
_SHADE = 6


@dataclass(frozen=True)
class Placed:
    """A look in a reference or in a place: its side, and its top and left there, in pixels."""

    look: Look
    side: int
    top: int
    left: int

    def lay_on(self, canvas: Floats) -> None:
        paste(canvas, self.look.pixels(self.side), self.top, self.left)


@dataclass(frozen=True)
class Reference:
    """A picture of 128 by 128 pixels. Two things are side by side, the left one first."""

    things: tuple[Placed, ...]
    background: Colour

    def render(self) -> Picture:
        return finished(self.over(self.background))

    def over(self, background: Sequence[float]) -> Floats:
        """Its things on another background: float32 (128, 128, 3)."""
        canvas = np.empty((FRAME, FRAME, 3), np.float32)
        canvas[:] = background
        for thing in self.things:
            thing.lay_on(canvas)
        return canvas


@dataclass(frozen=True)
class Scene:
    """One task, without its words.

    Attributes:
        kind: A key of `KINDS`.
        references: In the order of ``places``; the caption says which of them is given as the first, or the second.
        shown: What each place shows: the references, after what an instruction did to them.
        places: Keys of `PLACES`, where the things of ``shown`` are wanted.
        background: The colour painted where there is nothing.
        named: The background's name; empty if it is that of the reference.
        removed: For "remove": "left" or "right" of two, "named left" or "named right" if the caption gives the name
            alone, or "all".
    """

    kind: str
    references: tuple[Reference, ...]
    shown: tuple[Reference, ...]
    places: tuple[str, ...]
    background: Colour
    named: str = ""
    removed: str = ""

    @property
    def behind(self) -> Reference | None:
        """The reference that fills the picture, behind the others."""
        return self.references[-1] if self.kind in ("before", "room") else None

    @property
    def tint(self) -> str:
        return self.shown[0].things[0].look.tint if self.kind == "recolour" else ""

    def render(self) -> Picture:
        canvas = np.empty((SIDE, SIDE, 3), np.float32)
        canvas[:] = self.background
        if self.behind:
            canvas[:] = enlarged(self.behind)
        for shown, place in zip(self.shown, self.places, strict=True):
            top, left = PLACES[place]
            for thing in shown.things:
                thing.lay_on(canvas[top : top + FRAME, left : left + FRAME])
        return finished(canvas)


def enlarged(reference: Reference) -> Floats:
    """A reference over the whole picture: float32 (256, 256, 3)."""
    picture = Image.fromarray(reference.render()).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32)


class Scenes:
    """Draws scenes.

    Args:
        gallery: What the references show.
        shades: False paints backgrounds exactly in the named colour.
    """

    def __init__(self, gallery: Gallery = SEEN, *, shades: bool = True) -> None:
        self.gallery = gallery
        self.shades = shades

    def draw(self, kind: str, chance: random.Random) -> Scene:
        if kind == "words":
            return self._from_words(chance)
        if kind == "remove":
            return self._removed(chance)
        references = self._references(kind, chance)
        if kind in ("background", "move", "recolour"):
            return self._instruction(kind, references[0], chance)
        named = self._name(chance)
        return Scene(
            kind,
            references,
            shown=references[:-1] if kind in ("before", "room") else references,
            places=self._places(kind, chance),
            background=self._shade(named, chance),
            named="" if kind in ("before", "room") else named,
        )

    def _places(self, kind: str, chance: random.Random) -> tuple[str, ...]:
        if kind in ("one", "words"):
            return (chance.choice(["middle", *PLACES]),)
        if kind == "before":
            return (chance.choice(["middle", "middle", "left", "right", "bottom"]),)
        return {
            "pair": ("left", "right"),
            "above": ("top", "bottom"),
            "room": ("left", "right"),
            "three": ("top left", "top right", "bottom"),
        }[kind]

    def _references(self, kind: str, chance: random.Random) -> tuple[Reference, ...]:
        """No two of them show the same."""
        drawn: list[Reference] = []
        for number in range(KINDS[kind]):
            last = kind in ("before", "room") and number == KINDS[kind] - 1
            plain = kind in ("background", "move", "recolour") or (kind in ("before", "room") and not last)
            while True:
                reference = self._frame(chance) if last else self.reference(chance, plain=plain)
                if all(reference.things[0].look != other.things[0].look for other in drawn):
                    drawn.append(reference)
                    break
        return tuple(drawn)

    def reference(self, chance: random.Random, *, plain: bool = False) -> Reference:
        """One thing somewhere in its frame; a surface fills it, unless it must be ``plain``."""
        look = self._look(chance, plain=plain)
        if look.kind == "surface":
            return Reference((Placed(look, FRAME, 0, 0),), (128, 128, 128))
        side = chance.choice(_SIZES)
        top, left = (chance.randint(0, FRAME - side) for _ in range(2))
        return Reference((Placed(look, side, top, left),), self._plain(chance))

    def _look(self, chance: random.Random, *, plain: bool) -> Look:
        while True:
            look = self.gallery.draw(chance)
            if not (plain and look.kind == "surface"):
                return look

    def _frame(self, chance: random.Random) -> Reference:
        """What can stand behind others: a surface, now and then a thing."""
        if chance.random() < 0.15:
            return self.reference(chance, plain=True)
        look = Look("surface", str(chance.randrange(100_000)), chance.choice(self.gallery.colourings))
        return Reference((Placed(look, FRAME, 0, 0),), (128, 128, 128))

    def _instruction(self, kind: str, reference: Reference, chance: random.Random) -> Scene:
        """The background stays the reference's, unless it is what is to change."""
        if kind == "background":
            named = chance.choice(list(vocabulary().backgrounds))
            return Scene(kind, (reference,), (reference,), ("middle",), self._shade(named, chance), named)
        if kind == "move":
            place = chance.choice([name for name in PLACES if name != "middle"])
            return Scene(kind, (reference,), (reference,), (place,), reference.background)
        (thing,) = reference.things
        tinted = replace(thing, look=replace(thing.look, tint=chance.choice(list(TINTS))))
        return Scene(kind, (reference,), (replace(reference, things=(tinted,)),), ("middle",), reference.background)

    def _removed(self, chance: random.Random) -> Scene:
        if chance.random() < 0.35:
            reference = self.reference(chance, plain=True)
            empty = replace(reference, things=())
            return Scene("remove", (reference,), (empty,), ("middle",), reference.background, removed="all")
        things: list[Placed] = []
        while len(things) < 2:
            look, side = self._look(chance, plain=True), chance.choice(_HALF_SIZES)
            if not things or look.name != things[0].look.name:
                left = len(things) * 64 + chance.randint(0, 64 - side)
                things.append(Placed(look, side, chance.randint(16, FRAME - 16 - side), left))
        reference = Reference(tuple(things), self._plain(chance))
        removed = chance.choice(("left", "right"))
        left_over = replace(reference, things=(things[removed == "left"],))
        if all(thing.look.kind == "art" for thing in things) and chance.random() < 0.25:
            removed = f"named {removed}"
        return Scene("remove", (reference,), (left_over,), ("middle",), reference.background, removed=removed)

    def _from_words(self, chance: random.Random) -> Scene:
        """Things in their own colours, always of one size: what a name alone can say."""
        both = chance.random() < 0.3
        places = self._places(chance.choice(["pair", "above"]) if both else "words", chance)
        names = chance.sample(self.gallery.arts, len(places))
        shown = tuple(Reference((Placed(Look("art", name), 112, 8, 8),), (0, 0, 0)) for name in names)
        named = self._name(chance)
        return Scene("words", (), shown, places, self._shade(named, chance), named)

    def _name(self, chance: random.Random) -> str:
        return chance.choice([*vocabulary().backgrounds, DEFAULT_BACKGROUND, DEFAULT_BACKGROUND])

    def _plain(self, chance: random.Random) -> Colour:
        """A background of a reference: as often as not white."""
        named = vocabulary().backgrounds
        return self._shade(chance.choice([*named, *[DEFAULT_BACKGROUND] * len(named)]), chance)

    def _shade(self, named: str, chance: random.Random) -> Colour:
        off = _SHADE if self.shades else 0
        red, green, blue = (
            min(255, max(0, level + chance.randint(-off, off))) for level in vocabulary().backgrounds[named]
        )
        return red, green, blue
