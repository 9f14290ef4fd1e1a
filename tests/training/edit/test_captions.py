"""Scenes and their captions: what a sentence says is what its image shows."""

import re

import pytest

from training.edit.art import HELD_OUT
from training.edit.captions import ORDINALS, QUESTIONS, every_word, labels, sentence
from training.edit.evaluation import SENTENCE
from training.edit.scenes import FRAME, KINDS, PLACES, Scenes
from training.stages import chance

_MENTION = re.compile(r"\b(first|second|third) (?:image|picture|photo)\b|\b(?:image|picture|photo) ([123])\b")
TURNED = re.compile(r"to the right of|\b(?:below|under|beneath|underneath)\b")


def mentioned(caption: str) -> list[int]:
    """The references in the order in which a caption names them, from 0."""
    return [ORDINALS.index(match[1]) if match[1] else int(match[2]) - 1 for match in _MENTION.finditer(caption.lower())]


@pytest.mark.parametrize(("kind", "places"), [("pair", ["left", "right"]), ("above", ["top", "bottom"])])
def test_a_caption_of_two_names_them_in_the_order_of_their_places(kind: str, places: list[str]) -> None:
    """First the left or upper one, unless it says "to the right of" or "below"."""
    for number in range(200):
        draw = chance("test", kind, number)
        scene = Scenes().draw(kind, draw)
        order = draw.sample(range(3), 2)
        caption = sentence(scene, order, 3, draw)
        expected = order[::-1] if TURNED.search(caption) else order

        assert list(scene.places) == places
        assert mentioned(caption) == expected, caption


def test_a_caption_of_three_names_the_one_that_carries_the_others() -> None:
    """What follows "on", or stands "below them", is at the bottom; all three are named once."""
    for number in range(200):
        draw = chance("test three", number)
        scene = Scenes().draw("three", draw)
        order = draw.sample(range(3), 3)
        caption = sentence(scene, order, 3, draw)
        lowest = mentioned(caption)[0] if caption.lower().startswith("on ") else mentioned(caption)[-1]

        assert scene.places == ("top left", "top right", "bottom")
        assert sorted(mentioned(caption)) == [0, 1, 2], caption
        assert lowest == order[2], caption


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_classes_of_their_questions(kind: str) -> None:
    """Every place that shows a reference, and no other, has that reference's number."""
    for number in range(50):
        draw = chance("test labels", kind, number)
        scene = Scenes().draw(kind, draw)
        order = draw.sample(range(KINDS[kind]), KINDS[kind])
        said = labels(scene, order)

        assert all(0 <= answer < classes for answer, classes in zip(said, QUESTIONS, strict=True))
        shown = {place for place, answer in zip(PLACES, said, strict=False) if answer}
        assert shown == set(scene.places)


def test_references_are_square_frames_and_hold_nothing_back() -> None:
    """No training scene shows a thing that is held out, and a reference has the size that the model is trained for."""
    for number in range(200):
        draw = chance("test frames", number)
        scene = Scenes().draw(draw.choice(list(KINDS)), draw)
        looks = [thing.look for reference in scene.references for thing in reference.things]

        assert not {look.name for look in looks if look.kind == "art"} & set(HELD_OUT.arts)
        assert all(reference.render().shape == (FRAME, FRAME, 3) for reference in scene.references)


def test_the_documents_example_is_made_of_known_words() -> None:
    """Every noun, adjective and verb of the document's sentence can come in a caption."""
    known = " ".join(every_word()).lower()

    assert {"girl", "chess", "table", "ancient", "playing"} <= set(known.split())
    assert mentioned(SENTENCE.format("first", "second", "third")) == [0, 1, 2]
