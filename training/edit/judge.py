"""Looks at a picture and says which thing is where. It knows what was asked for, and no model.

A place is right if it is more like the thing that is wanted there, on the background that the picture has, than like
the other references and some sixty others: the same thing in other colours, others of its size and place, and others at
random. Pictures are compared in cells of eight by eight pixels, which forgives soft edges.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from training.edit.art import COLOURINGS, HELD_OUT_COLOURINGS, TINTS, Gallery
from training.edit.scenes import FRAME, PLACES, SIDE, Picture, Reference, Scene, Scenes, enlarged
from training.edit.surfaces import Floats
from training.judge import background, frame_colour

CELL = 8
STRANGERS, TWINS = 40, 15
"""How many others at random, and how many of the same size at the same place, a thing is compared with."""
_ALIKE = 60.0
"""Others whose mean square difference from the wanted thing is less look the same, and are no others."""
_STRAY = 24.0
"""A cell that is further than this from what should be there is a stray."""
_MOST_STRAYS = 0.06


@dataclass(frozen=True)
class Verdict:
    """What a picture shows of what was asked for.

    Attributes:
        places: For each place of the scene, whether it shows what is wanted there.
        among: The same, compared only with what the other places should show.
        likeness: For each place, the correlation with what is wanted there, both without the background.
        background: Whether the background is the one that was asked for.
        clean: Whether nothing stands where nothing was asked for.
    """

    places: tuple[bool, ...]
    among: tuple[bool, ...]
    likeness: tuple[float, ...]
    background: bool
    clean: bool

    @property
    def right(self) -> bool:
        return all(self.places) and self.background and self.clean


def judge(picture: Picture, scene: Scene, gallery: Gallery, *, seed: int = 0) -> Verdict:
    """Judge a picture of 256 by 256 pixels.

    Args:
        gallery: Where the others are from that a thing is compared with.
    """
    chance = random.Random(seed)
    plain = frame_colour(picture)
    behind = enlarged(scene.behind) if scene.behind else np.broadcast_to(plain, (SIDE, SIDE, 3))
    places, among, likeness = [], [], []
    for wanted, place in zip(scene.shown, scene.places, strict=True):
        top, left = PLACES[place]
        here = np.s_[top : top + FRAME, left : left + FRAME]
        seen, ground = _cells(picture[here]), behind[here]
        rivals = [other for other in scene.shown if other is not wanted]
        others = [*rivals, *_changed(wanted, scene), *_others(wanted, gallery, chance)]
        expected, *unlike = (_on(reference, ground) for reference in (wanted, *others))
        errors = _errors(seen, [expected, *unlike])
        alike = _errors(expected, unlike) < _ALIKE
        alike[: len(rivals)] = False
        errors[1:][alike] = np.inf
        places.append(bool(errors.argmin() == 0))
        among.append(bool(errors[: len(rivals) + 1].argmin() == 0))
        if wanted.things:
            likeness.append(_correlation(expected - _cells(ground), seen - _cells(ground)))
    return Verdict(
        tuple(places), tuple(among), tuple(likeness), _has_background(picture, scene), _is_clean(picture, scene, behind)
    )


def _has_background(picture: Picture, scene: Scene) -> bool:
    """The name that is nearest, where one was given; else the reference's colour, or what is behind."""
    if scene.named:
        return background(picture) == scene.named
    if scene.behind is None:
        return bool(np.abs(frame_colour(picture) - scene.background).max() < _STRAY)
    free = _free(scene)
    off, seen = (_cells(image)[free].reshape(-1) for image in (enlarged(scene.behind), picture))
    return _correlation(off - off.mean(), seen - seen.mean()) > 0.8 and bool(np.abs(off - seen).mean() < _STRAY)


def _is_clean(picture: Picture, scene: Scene, behind: Floats) -> bool:
    free = _free(scene)
    if scene.behind is not None or not free.any():
        return True
    off = np.abs(_cells(picture) - _cells(behind)).max(-1)[free]
    return bool((off > _STRAY).mean() < _MOST_STRAYS)


def _free(scene: Scene) -> np.ndarray:
    """The cells where nothing was asked for, not counting those next to a place: bool (32, 32)."""
    free = np.ones((SIDE // CELL, SIDE // CELL), bool)
    for place in scene.places:
        top, left = (start // CELL for start in PLACES[place])
        free[max(0, top - 1) : top + FRAME // CELL + 1, max(0, left - 1) : left + FRAME // CELL + 1] = False
    return free


def _others(wanted: Reference, gallery: Gallery, chance: random.Random) -> Iterable[Reference]:
    scenes = Scenes(gallery)
    for _ in range(STRANGERS):
        yield scenes.reference(chance)
    for _ in range(TWINS if wanted.things else 0):
        thing = wanted.things[0]
        look = replace(thing.look, kind="art", name=chance.choice(gallery.arts), tint="")
        yield replace(wanted, things=(replace(thing, look=look),))


def _changed(wanted: Reference, scene: Scene) -> Iterable[Reference]:
    """Yield the same things in other colours, and what an instruction leaves if it is not followed."""
    if scene.kind in ("recolour", "remove"):
        yield from scene.references
    if scene.kind == "remove":
        yield from (replace(wanted, things=(thing,)) for thing in scene.references[0].things)
        yield replace(wanted, things=())
    for thing in wanted.things[:1]:
        looks = [replace(thing.look, tint=tint) for tint in TINTS] if thing.look.tint else []
        looks += [replace(thing.look, colouring=order, tint="") for order in (*COLOURINGS, *HELD_OUT_COLOURINGS)]
        yield from (replace(wanted, things=(replace(thing, look=look),)) for look in looks if look != thing.look)


def _on(reference: Reference, ground: Floats) -> Floats:
    return _cells(reference.over(ground))


def _errors(seen: Floats, wanted: Iterable[Floats]) -> Floats:
    return np.array([np.square(cells - seen).mean() for cells in wanted], np.float32)


def _cells(picture: Floats | Picture) -> Floats:
    height, width = picture.shape[0] // CELL, picture.shape[1] // CELL
    return picture.astype(np.float32).reshape(height, CELL, width, CELL, 3).mean((1, 3))


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one.ravel(), other.ravel()
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-6))
