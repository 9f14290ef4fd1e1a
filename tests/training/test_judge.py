"""The judge is itself judged, on real renderings: what it calls wrong there is its own mistake."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training.captions import Captioned, Captions
from training.judge import Picture, background, judge, position, recognise, sharpness
from training.scenes import LARGE, MEDIUM, PLACES, SMALL, Placed, Scene, render
from training.vocabulary import Thing, vocabulary

KINDS = ("plain", "size", "place", "pair")
THINGS, BACKGROUNDS = vocabulary().things, vocabulary().backgrounds


def asked(count: int, seed: int) -> list[Captioned]:
    """As many of each kind; of things, places and colours whatever comes."""
    captions = Captions(vocabulary(), seed, held_out=None)
    return [captions.draw(KINDS[number % len(KINDS)]) for number in range(count)]


def alone(thing: Thing, size: int, colour: str = "teal", x: float = 0.5, y: float = 0.5) -> Picture:
    return render(Scene(256, 256, BACKGROUNDS[colour], (Placed(thing, size, x, y),)))


def soft(image: Picture) -> Picture:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(1.5)))


def very_soft_and_moved(image: Picture) -> Picture:
    blurred = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(4)))
    return np.roll(blurred, (3, -5), (0, 1))


def noisy(image: Picture) -> Picture:
    noise = np.random.default_rng(1).normal(0, 10, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def unchanged(image: Picture) -> Picture:
    return image


@pytest.fixture(scope="module")
def renderings() -> list[tuple[Captioned, Picture]]:
    return [(one, render(one.scene)) for one in asked(200, seed=7)]


@pytest.mark.parametrize(
    ("count", "change", "least"),
    [(200, unchanged, 0.99), (80, soft, 0.97), (80, noisy, 0.97), (80, very_soft_and_moved, 0.97)],
)
def test_what_was_asked_for_is_recognised(
    renderings: list[tuple[Captioned, Picture]], count: int, change: Callable[[Picture], Picture], least: float
) -> None:
    """Real renderings of every kind are found right, sharp, soft, noisy or a little out of place."""
    verdicts = [judge(change(image), one) for one, image in renderings[:count]]

    assert np.mean([verdict.right for verdict in verdicts]) >= least


def test_every_thing_is_told_from_every_other() -> None:
    """Each is first among all things, whatever its size and background: a red circle is no red heart."""
    colours = list(BACKGROUNDS)
    mistaken = {}
    for number, thing in enumerate(THINGS):
        colour = colours[number % len(colours)]
        if thing.colour != colour:
            first = recognise(alone(thing, (SMALL, MEDIUM, LARGE)[number % 3], colour))[0]
            if first.thing != thing:
                mistaken[thing.name] = first.thing.name

    assert mistaken == {}


@pytest.mark.parametrize("size", [SMALL, MEDIUM, LARGE])
def test_the_size_of_a_thing_is_seen(size: int) -> None:
    """Of all the sizes looked for, the right one is found."""
    assert recognise(alone(THINGS[0], size))[0].size == size


def test_something_else_is_not_taken_for_what_was_asked_for() -> None:
    """An image of another scene, of the same kind, is hardly ever right."""
    scenes = asked(80, seed=11)
    others = [*scenes[4:], *scenes[:4]]
    verdicts = [judge(render(shown.scene), one) for shown, one in zip(others, scenes, strict=True)]

    assert sum(verdict.right for verdict in verdicts) <= 2


@pytest.mark.parametrize("colour", BACKGROUNDS)
def test_a_background_is_named_by_its_nearest_colour(colour: str) -> None:
    """A thing that fills a corner does not change that."""
    thing = next(thing for thing in THINGS if thing.shape == "square" and thing.colour != colour)

    assert background(alone(thing, SMALL, colour, *PLACES["in the top left corner"])) == colour


@pytest.mark.parametrize("place", ["", *PLACES])
def test_a_thing_is_found_where_it_stands(place: str) -> None:
    """The middle has no name."""
    assert position(alone(THINGS[0], SMALL, "teal", *PLACES.get(place, (0.5, 0.5)))) == place


def test_an_empty_image_shows_nothing_right() -> None:
    """Where nothing is generated the judge continues, and no edge is sharp."""
    one = replace(asked(1, seed=3)[0], background="teal")
    empty = render(replace(one.scene, background=BACKGROUNDS["teal"], things=()))

    assert position(empty) == ""
    assert judge(empty, one).sharpness == 0


def test_softness_is_measured() -> None:
    """The real image has sharpness 1, and each blur takes some of it."""
    real = alone(THINGS[0], MEDIUM)

    assert sharpness(real, real) == 1
    assert 0.5 > sharpness(soft(real), real) > sharpness(soft(soft(real)), real) > 0
