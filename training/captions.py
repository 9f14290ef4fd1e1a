"""Scenes with captions, drawn at random: what people type, and what they mean by it.

Some combinations are held out: never trained on, so that drawing them shows that the parts were learnt, not the
pictures.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from training.scenes import LARGE, MEDIUM, PLACES, SMALL, Placed, Scene
from training.vocabulary import Colour, Thing, Vocabulary

DEFAULT_BACKGROUND = "white"
SHADE = 6
"""A background is painted within this many levels of the colour named."""

_POLITE = ["please draw", "I would like to see", "can you show me", "draw me", "make a nice picture of", "give me"]
_TAILS = [
    "thank you very much",
    "it should look beautiful and clean",
    "high quality, highly detailed, 4k",
    "in a modern and friendly style",
    "simple composition, nothing else in the picture",
    "soft light, rounded forms, studio photo",
    "for the cover of a book for children",
    "trending, award winning illustration",
]
_STYLES = ["a picture of", "an image of", "a photo of", "a drawing of", "a 3D render of", "an illustration of"]
_PLURAL = {"cherries", "two cherries", "grapes", "french fries", "fries", "chips", "flames", "dice"}


@dataclass(frozen=True)
class Captioned:
    """A scene, what was asked for, and what the words meant.

    Attributes:
        kind: "plain", "size", "place" or "pair".
        background: The name of the background's colour.
        place: A key of ``PLACES``, for "place".
        above: Whether the first thing of a pair stands above the second, not left of it.
        held_out: Whether training never sees this combination.
    """

    caption: str
    scene: Scene
    kind: str
    background: str
    place: str = ""
    above: bool = False
    held_out: bool = False


def is_held_out(thing: Thing, background: str, place: str = "") -> bool:
    """Whether training leaves a combination out: one in eight, always the same ones."""
    digest = hashlib.sha256(f"{thing.name}|{background}|{place}".encode()).digest()
    return digest[0] < 32


class Captions:
    """Draws scenes and words for them.

    Args:
        vocabulary: What there is to draw.
        seed: The same seed gives the same sequence.
        size: Width and height of the scenes, in pixels.
        held_out: False draws what training may see, True only what it may not, None either.
        nearest: More words for a thing, by its name; the caption takes one now and then.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        seed: int,
        size: tuple[int, int] = (256, 256),
        held_out: bool | None = False,
        nearest: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self.vocabulary = vocabulary
        self.random = random.Random(seed)
        self.width, self.height = size
        self.held_out = held_out
        self.nearest = nearest

    def draw(self, kind: str = "") -> Captioned:
        """Draw one scene, of that kind or of any."""
        kind = kind or self.random.choices(["plain", "size", "place", "pair"], [34, 24, 18, 24])[0]
        while True:
            drawn = self._scene(kind)
            if self.held_out in (None, drawn.held_out):
                return replace(drawn, caption=self.words(drawn))

    def words(self, drawn: Captioned, *, long: bool = False) -> str:
        """A caption for a scene, another one each time; a long one has half a dozen remarks that change nothing."""
        words = self._subject(drawn)
        background = drawn.background
        if background != DEFAULT_BACKGROUND or self.random.random() < 0.4:
            words += self.random.choice(
                [
                    f" on a {background} background",
                    f" on a {background} background",
                    f" on a {background} background",
                    f" on {background}",
                    f", {background} background",
                    f" in front of a {background} wall",
                ]
            ).replace("a orange", "an orange")
        chance = self.random.random()
        if chance < 0.12:
            words = f"{self.random.choice(_STYLES)} {words}"
        elif chance < 0.18:
            words = f"{self.random.choice(_POLITE)} {words}"
        if long:
            words += ", " + ", ".join(self.random.sample(_TAILS, self.random.randint(3, len(_TAILS))))
        elif self.random.random() < 0.08:
            words += f", {self.random.choice(_TAILS)}"
        return words + "." * (self.random.random() < 0.1)

    def _scene(self, kind: str) -> Captioned:
        background = self.random.choice([*self.vocabulary.backgrounds, DEFAULT_BACKGROUND])
        first = self._thing(background)
        place, above = "", False
        if kind == "plain":
            things = [Placed(first, MEDIUM)]
        elif kind == "size":
            # At a place, and in a pair, everything is small; nowhere else is anything large.
            things = [Placed(first, self.random.choice([SMALL, LARGE, LARGE]))]
        elif kind == "place":
            place = self.random.choice(list(PLACES))
            things = [Placed(first, SMALL, *PLACES[place])]
        else:
            second = self._thing(background, unlike=first)
            above = self.random.random() < 0.3
            spots = ("at the top", "at the bottom") if above else ("on the left", "on the right")
            things = [Placed(thing, SMALL, *PLACES[spot]) for thing, spot in zip((first, second), spots, strict=True)]
        held_out = any(is_held_out(placed.thing, background, place) for placed in things)
        shade = self._shade(self.vocabulary.backgrounds[background])
        scene = Scene(self.width, self.height, shade, tuple(things))
        return Captioned("", scene, kind, background, place, above, held_out)

    def _subject(self, drawn: Captioned) -> str:
        things = drawn.scene.things
        if drawn.kind == "size":
            small = things[0].size == SMALL
            adjective = self.random.choice(["small", "small", "little", "tiny"] if small else ["large", "big", "huge"])
            return f"a {adjective} {self._word(things[0].thing)}"
        one = self._name(things[0].thing)
        if drawn.kind == "place":
            place = drawn.place
            if "corner" in place and self.random.random() < 0.3:
                place = place.replace("in the", "at the").replace(" corner", "")
            return f"{one} {place}"
        if drawn.kind == "plain":
            return one if self.random.random() < 0.9 else f"{one} in the {self.random.choice(['middle', 'center'])}"
        other = self._name(things[1].thing)
        if drawn.above:
            return self.random.choice(
                [
                    f"{one} above {other}",
                    f"{one} over {other}",
                    f"{one} at the top and {other} at the bottom",
                    f"{other} below {one}",
                    f"{other} under {one}",
                ]
            )
        return self.random.choice(
            [
                f"{one} and {other}",
                f"{one} and {other}",
                f"{one} and {other}",
                f"{one} next to {other}",
                f"{one} beside {other}",
                f"{one} on the left and {other} on the right",
                f"{one} to the left of {other}",
                f"{other} to the right of {one}",
            ]
        )

    def _thing(self, background: str, unlike: Thing | None = None) -> Thing:
        while True:
            shape = self.random.random() < 0.1
            thing = self.random.choice(self.vocabulary.shapes if shape else self.vocabulary.objects)
            if thing.colour != background and thing != unlike:
                return thing

    def _word(self, thing: Thing) -> str:
        nearest = self.nearest.get(thing.name)
        if nearest and self.random.random() < 0.06:
            return self.random.choice(nearest)
        return thing.words[0] if self.random.random() < 0.7 else self.random.choice(thing.words)

    def _name(self, thing: Thing) -> str:
        word = self._word(thing)
        if word in _PLURAL or self.random.random() < 0.08:
            return word
        return f"{'an' if word[0] in 'aeiou' and word != 'unicorn' else 'a'} {word}"

    def _shade(self, colour: Colour) -> Colour:
        red, green, blue = (min(255, max(0, level + self.random.randint(-SHADE, SHADE))) for level in colour)
        return red, green, blue
