"""Scenes with captions, drawn at random: what people type, and what they mean by it.

Some combinations are held out: never trained on, so that drawing them shows that the parts were learnt, not the pictures.
"""

import hashlib
import random
from dataclasses import dataclass

from training.scenes import AT_A_PLACE, LARGE, MEDIUM, PLACES, SMALL, Placed, Scene
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


@dataclass(frozen=True)
class Captioned:
    """A scene, what was asked for, and what the words meant.

    Attributes:
        kind: "plain", "size", "place" or "pair".
        background: The name of the background's colour.
        place: A key of ``PLACES``, for "place".
        held_out: Whether training never sees this combination.
    """

    caption: str
    scene: Scene
    kind: str
    background: str
    place: str = ""
    held_out: bool = False


def is_held_out(thing: Thing, background: str, place: str = "") -> bool:
    """Whether training leaves a combination out: one in eight, the same ones for ever."""
    digest = hashlib.sha256(f"{thing.name}|{background}|{place}".encode()).digest()
    return digest[0] < 32


class Captions:
    """Draws scenes and captions for them.

    Args:
        vocabulary: What there is to draw.
        seed: The same seed gives the same sequence.
        size: Width and height of the scenes, in pixels.
        held_out: False draws what training may see, True only what it may not, None either.
    """

    def __init__(
        self, vocabulary: Vocabulary, seed: int, size: tuple[int, int] = (256, 256), held_out: bool | None = False
    ) -> None:
        self.vocabulary = vocabulary
        self.random = random.Random(seed)
        self.width, self.height = size
        self.held_out = held_out

    def draw(self, kind: str = "") -> Captioned:
        """Draw one scene, of that kind or of any."""
        kind = kind or self.random.choices(["plain", "size", "place", "pair"], [38, 10, 22, 30])[0]
        while True:
            drawn = {"plain": self._plain, "size": self._size, "place": self._place, "pair": self._pair}[kind]()
            if self.held_out in (None, drawn.held_out):
                return drawn

    def _plain(self) -> Captioned:
        background, named = self._background()
        thing = self._thing(background)
        return self._captioned(
            "plain", self._name(thing), [Placed(thing, self.random.choice(MEDIUM))], background, named
        )

    def _size(self) -> Captioned:
        background, named = self._background()
        thing = self._thing(background)
        small = self.random.random() < 0.5
        adjective = self.random.choice(["small", "little", "tiny"] if small else ["large", "big", "huge"])
        words = f"a {adjective} {self.random.choice(thing.words)}"
        return self._captioned("size", words, [Placed(thing, SMALL if small else LARGE)], background, named)

    def _place(self) -> Captioned:
        background, named = self._background()
        thing = self._thing(background)
        place = self.random.choice(list(PLACES))
        words = f"{self._name(thing)} {self._place_words(place)}"
        return self._captioned("place", words, [Placed(thing, AT_A_PLACE, *PLACES[place])], background, named, place)

    def _pair(self) -> Captioned:
        background, named = self._background()
        first = self._thing(background)
        second = self._thing(background)
        while second == first:
            second = self._thing(background)
        one, other = self._name(first), self._name(second)
        if self.random.random() < 0.7:
            words = self.random.choice(
                [
                    f"{one} and {other}",
                    f"{one} and {other}",
                    f"{one} next to {other}",
                    f"{one} beside {other}",
                    f"{one} on the left and {other} on the right",
                    f"{one} to the left of {other}",
                ]
            )
            spots = (PLACES["on the left"], PLACES["on the right"])
            if self.random.random() < 0.15:
                words = f"{other} to the right of {one}"
        else:
            words = self.random.choice(
                [f"{one} above {other}", f"{one} over {other}", f"{one} at the top and {other} at the bottom"]
            )
            spots = (PLACES["at the top"], PLACES["at the bottom"])
            if self.random.random() < 0.3:
                words = f"{other} {self.random.choice(['below', 'under'])} {one}"
        things = [Placed(first, AT_A_PLACE, *spots[0]), Placed(second, AT_A_PLACE, *spots[1])]
        return self._captioned("pair", words, things, background, named)

    def _captioned(
        self, kind: str, words: str, things: list[Placed], background: str, named: bool, place: str = ""
    ) -> Captioned:
        if named:
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
        scene = Scene(self.width, self.height, self._shade(self.vocabulary.backgrounds[background]), tuple(things))
        held_out = any(is_held_out(placed.thing, background, place) for placed in things)
        return Captioned(self._wording(words), scene, kind, background, place, held_out)

    def _wording(self, words: str) -> str:
        chance = self.random.random()
        if chance < 0.12:
            words = f"{self.random.choice(_STYLES)} {words}"
        elif chance < 0.18:
            words = f"{self.random.choice(_POLITE)} {words}"
        if self.random.random() < 0.12:
            words += ", " + ", ".join(self.random.sample(_TAILS, self.random.choice([1, 1, 2, 3, 4])))
        if self.random.random() < 0.1:
            words += "."
        return words

    def _background(self) -> tuple[str, bool]:
        if self.random.random() < 0.12:
            return DEFAULT_BACKGROUND, False
        return self.random.choice(list(self.vocabulary.backgrounds)), True

    def _thing(self, background: str) -> Thing:
        while True:
            shape = self.random.random() < 0.1
            thing = self.random.choice(self.vocabulary.shapes if shape else self.vocabulary.objects)
            if thing.colour != background:
                return thing

    def _name(self, thing: Thing) -> str:
        word = thing.words[0] if self.random.random() < 0.6 else self.random.choice(thing.words)
        if word.endswith("s") and thing.name in ("cherries", "grapes", "french fries") or self.random.random() < 0.08:
            return word
        return f"{'an' if word[0] in 'aeiou' and word != 'unicorn' else 'a'} {word}"

    def _place_words(self, place: str) -> str:
        if "corner" in place and self.random.random() < 0.3:
            return place.replace("in the", "at the").replace(" corner", "")
        return place

    def _shade(self, colour: Colour) -> Colour:
        red, green, blue = (min(255, max(0, level + self.random.randint(-SHADE, SHADE))) for level in colour)
        return red, green, blue
