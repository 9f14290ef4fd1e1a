"""The judge is itself judged, on renderings: what it calls wrong there is its own mistake."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training.edit.art import HELD_OUT, SEEN
from training.edit.judge import judge
from training.edit.scenes import KINDS, Scene, Scenes
from training.stages import chance


def scene_of(kind: str, *, held_out: bool = False) -> Scene:
    return Scenes(HELD_OUT if held_out else SEEN).draw(kind, chance("judge", kind))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_asked_for_is_right_even_if_soft(kind: str) -> None:
    """A blurred rendering of every kind of scene, of things that are held out, has everything in its place."""
    scene = scene_of(kind, held_out=True)
    soft = Image.fromarray(scene.render()).filter(ImageFilter.GaussianBlur(2))
    verdict = judge(np.asarray(soft), scene, HELD_OUT)

    assert verdict.right, verdict
    assert min(verdict.likeness, default=1) > 0.97


@pytest.mark.parametrize("kind", ["pair", "above", "three"])
def test_exchanged_references_are_noticed(kind: str) -> None:
    """With the first two exchanged, both of their places are wrong, also among the references alone."""
    scene = scene_of(kind)
    first, second, *rest = scene.shown
    verdict = judge(replace(scene, shown=(second, first, *rest)).render(), scene, SEEN)

    assert verdict.places[:2] == verdict.among[:2] == (False, False)
    assert all(verdict.places[2:])


def test_an_instruction_that_was_not_followed_is_noticed() -> None:
    """The old colour, the old place, and what should have been removed are wrong, and so is a stray thing."""
    recoloured, moved, removed = (scene_of(kind) for kind in ("recolour", "move", "remove"))

    assert not judge(replace(recoloured, shown=recoloured.references).render(), recoloured, SEEN).right
    assert not judge(replace(moved, places=("middle",)).render(), moved, SEEN).right
    assert not judge(replace(removed, shown=removed.references).render(), removed, SEEN).right
    stray = replace(moved, shown=moved.shown * 2, places=(*moved.places, "middle"))
    assert not judge(stray.render(), moved, SEEN).clean
