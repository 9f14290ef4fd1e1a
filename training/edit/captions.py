"""What people type for an edit: one sentence for a scene, another one each time."""

import random
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from training.edit.art import TINTS
from training.edit.scenes import DEFAULT_BACKGROUND, PLACES, Reference, Scene
from training.vocabulary import nearest_words, vocabulary

ORDINALS = ("first", "second", "third")

_AT = {
    "middle": ["in the middle", "in the center"],
    "left": ["on the left", "on the left side"],
    "right": ["on the right", "on the right side"],
    "top": ["at the top"],
    "bottom": ["at the bottom"],
    **{
        f"{row} {side}": [f"in the {row} {side} corner", f"at the {row} {side}", f"in the {row} {side}"]
        for row in ("top", "bottom")
        for side in ("left", "right")
    },
}
_TO = {
    "left": ["to the left", "to the left side"],
    "right": ["to the right", "to the right side"],
    "top": ["to the top", "up"],
    "bottom": ["to the bottom", "down"],
}


def sentence(scene: Scene, order: Sequence[int], given: int, chance: random.Random) -> str:
    """Ask for a scene.

    Args:
        order: For each of the scene's references, its position among those given, from 0.
        given: How many references are given; more than the scene has are never mentioned.
        chance: Chooses the words.
    """
    return _Words(scene, order, given, chance).sentence()


class _Words:
    def __init__(self, scene: Scene, order: Sequence[int], given: int, chance: random.Random) -> None:
        self.scene, self.order, self.given, self.chance = scene, order, given, chance
        self.pick = chance.choice

    def sentence(self) -> str:
        write = {
            "words": self._from_words,
            "one": self._one,
            "background": self._background,
            "move": self._move,
            "recolour": self._recolour,
            "remove": self._remove,
            "above": self._above,
            "before": self._before,
        }.get(self.scene.kind, self._pair)
        text = write()
        if self.chance.random() < 0.06:
            text += f", {self.pick(words()['tails'])}"
        if self.chance.random() < 0.25:
            text = text[0].upper() + text[1:]
        return text + "." * (self.chance.random() < 0.25)

    def _pair(self) -> str:
        """Two things next to each other, and perhaps a third one below or behind them."""
        names = [self._phrase(number) for number in range(len(self.order))]
        first, second = names[:2]
        turn = self.chance.random()
        if turn < 0.7:
            text = f"{first} {self.pick(words()['verbs'])} {second}"
        else:
            text = self.pick(
                [
                    f"{first} on the left and {second} on the right",
                    f"{first} to the left of {second}",
                    f"{second} to the right of {first}",
                ]
            )
        if self.scene.kind == "three":
            ways = [f"{text}{link} {names[2]}" for link in words()["on"]]
            text = self.pick([*ways, f"on {names[2]}, {text}", f"{text}, {names[2]} below them"])
        if self.scene.kind == "room":
            before = self.pick(words()["before"])
            return self.pick([f"{text} {before} {names[2]}", f"{text}, {names[2]} behind them", *self._behind(text)])
        return self._polite(text) + self._on_background()

    def _above(self) -> str:
        upper, lower = self._phrase(0), self._phrase(1)
        above, below = self.pick(words()["above"]), self.pick(words()["below"])
        text = self.pick([f"{upper} {above} {lower}"] * 3 + [f"{lower} {below} {upper}"])
        if self.chance.random() < 0.1:
            text = f"{upper} at the top and {lower} at the bottom"
        return self._polite(text) + self._on_background()

    def _before(self) -> str:
        (place,) = self.scene.places
        thing, behind = self._phrase(0), self._phrase(1)
        if place != "middle":
            thing += f" {self.pick(_AT[place])}"
        before = self.pick(words()["before"])
        return self.pick([f"{thing} {before} {behind}", f"{thing} {before} {behind}", *self._behind(thing)])

    def _behind(self, text: str) -> list[str]:
        number = self.order[-1]
        image = f"{self.pick(['the', 'the', ''])} {ORDINALS[number]} image".strip()
        return [f"{text}, with {image} as the background", f"{text}, {image} in the background"]

    def _one(self) -> str:
        (place,) = self.scene.places
        thing = self._phrase(0)
        if place != "middle" or self.chance.random() < 0.2:
            thing += f" {self.pick(_AT[place])}"
        return self._polite(thing) + self._on_background()

    def _background(self) -> str:
        name = self.scene.named
        it = self._it()
        article = "an" if name[0] in "aeiou" else "a"
        return self.pick(
            [
                f"put {it} on {article} {name} background",
                f"place {it} on {article} {name} background",
                f"{it} on {article} {name} background" if it != "it" else f"on {article} {name} background",
                f"change the background to {name}",
                f"make the background {name}",
                f"{article} {name} background",
                f"set {it} in front of {article} {name} wall",
            ]
        )

    def _move(self) -> str:
        (place,) = self.scene.places
        to = _TO.get(place) or [at.replace("in the", "to the").replace("at the", "to the") for at in _AT[place]]
        it = self._it()
        return self.pick(
            [f"move {it} {self.pick(to)}", f"move {it} {self.pick(to)}", f"put {it} {self.pick(_AT[place])}"]
        )

    def _recolour(self) -> str:
        tint, it = self.scene.tint, self._it()
        return self.pick(
            [
                f"make {it} {tint}",
                f"make {it} {tint}",
                f"turn {it} {tint}",
                f"paint {it} {tint}",
                f"recolour {it} in {tint}",
                f"recolor {it} {tint}",
                f"colour {it} {tint}",
                f"change the colour of {it} to {tint}",
                f"change the color of {it} to {tint}",
            ]
        )

    def _remove(self) -> str:
        scene = self.scene
        remove = self.pick(["remove", "remove", "remove", "erase", "delete", "take away"])
        if scene.removed == "all":
            return f"{remove} {self._it()}"
        *named, at = scene.removed.split()
        gone = scene.references[0].things[at == "right"]
        if named:
            return f"{remove} the {self.pick(_names()[gone.look.name])}"
        noun = self._noun(Reference((gone,), (0, 0, 0)))
        side = self.pick([f"the {noun} on the {at}", f"the {at} {noun}", f"the {at} one"])
        return f"{remove} {side}{self.pick(['', '', ' from the image'])}"

    def _from_words(self) -> str:
        names = [f"{self.pick(['a', 'a', 'the'])} {self.pick(_names()[_art(shown)])}" for shown in self.scene.shown]
        places = self.scene.places
        if len(names) == 1:
            (name,) = names
            if places[0] != "middle":
                name += f" {self.pick(_AT[places[0]])}"
            return self._polite(name) + self._on_background()
        first, second = names
        if places[0] == "left":
            link = self.pick(["and", "and", "next to", "beside"])
            text = self.pick([f"{first} {link} {second}", f"{first} on the left and {second} on the right"])
        else:
            text = self.pick([f"{first} above {second}", f"{second} below {first}"])
        return self._polite(text) + self._on_background()

    def _on_background(self) -> str:
        name = self.scene.named
        if not name or (name == DEFAULT_BACKGROUND and self.chance.random() < 0.65):
            return ""
        article = "an" if name[0] in "aeiou" else "a"
        return self.pick([f" on {article} {name} background"] * 3 + [f", {name} background"])

    def _polite(self, text: str) -> str:
        if text.startswith("on ") or self.chance.random() > 0.06:
            return text
        return f"{self.pick(words()['polite'])} {text}"

    def _it(self) -> str:
        """The thing of the only reference."""
        noun = self._noun(self.scene.references[0])
        return self.pick(["it", f"the {noun}", f"the {noun}", f"the {noun} from the image", f"this {noun}"])

    def _phrase(self, number: int) -> str:
        """Name a reference of the scene by its place among those given."""
        behind = self.scene.behind is not None and number == len(self.order) - 1
        noun = self._noun(self.scene.references[number], behind=behind)
        turn = self.chance.random()
        if self.given == 1 and turn < 0.5:
            return self.pick(
                [f"the {noun} from the image", f"the {noun} in the picture", f"the {noun}", f"this {noun}"]
            )
        place = self.order[number]
        image = self.pick(["image", "image", "image", "picture", "photo"])
        if turn < 0.78:
            the = self.pick(["the ", "the ", ""])
            return f"the {noun} {self.pick(['from', 'from', 'from', 'in', 'of'])} {the}{ORDINALS[place]} {image}"
        if turn < 0.9:
            return f"the {noun} {self.pick(['from', 'in'])} {image} {place + 1}"
        return self.pick([f"the {ORDINALS[place]} {image}'s {noun}", f"image {place + 1}'s {noun}"])

    def _noun(self, reference: Reference, *, behind: bool = False) -> str:
        look = reference.things[0].look
        turn = self.chance.random()
        if behind and (look.kind == "surface" or turn < 0.5):
            noun = self.pick(words()["scenes"])
        elif look.kind == "art" and turn < 0.5:
            noun = self.pick(_names()[look.name])
        elif turn < 0.58:
            noun = self.pick(_other_nouns())
        else:
            noun = self.pick(words()["nouns"])
        return f"{self.pick(words()['adjectives'])} {noun}" if self.chance.random() < 0.15 else noun


def labels(scene: Scene, order: Sequence[int]) -> tuple[int, ...]:
    """What the words alone say, as a class for each question of `QUESTIONS`."""
    by_place = dict.fromkeys([*PLACES, "behind"], 0)
    for number, place in enumerate(scene.places):
        by_place[place] = order[number] + 1 if order else len(ORDINALS) + 1
    if scene.behind:
        by_place["behind"] = order[-1] + 1
    tint = 1 + list(TINTS).index(scene.tint) if scene.tint else 0
    background = 1 + list(vocabulary().backgrounds).index(scene.named) if scene.named else 0
    removed = 4 if scene.removed.startswith("named") else ("", "all", "left", "right").index(scene.removed)
    return (*by_place.values(), tint, background, removed)


QUESTIONS = (*[len(ORDINALS) + 2] * (len(PLACES) + 1), len(TINTS) + 1, len(vocabulary().backgrounds) + 1, 5)
"""How many classes the words of a caption can fall into, by question: which reference each place shows (none, one of
three, or a thing named by words alone), what is behind, the tint, the background, and what is removed."""


def every_word() -> list[str]:
    """What a caption can be made of: for the tokenizer."""
    known = words()
    return [
        *(text for texts in known.values() for text in texts),
        *(name for names in _names().values() for name in names),
        *_other_nouns(),
        *TINTS,
        *vocabulary().backgrounds,
    ]


@cache
def words() -> dict[str, list[str]]:
    """``words.toml``."""
    known: dict[str, list[str]] = tomllib.loads(files("training.edit").joinpath("words.toml").read_text("utf-8"))
    return known


@cache
def _names() -> dict[str, tuple[str, ...]]:
    """The names of each art: a circle in nine colours is nine arts."""
    return {thing.art: thing.words for thing in vocabulary().things}


@cache
def _other_nouns() -> list[str]:
    return sorted({word for near in nearest_words().values() for word in near})


def _art(reference: Reference) -> str:
    return reference.things[0].look.name
