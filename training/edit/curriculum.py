"""What the transformer is shown, and when: one reference before two, two before three, then everything."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from training.edit.captions import QUESTIONS, labels, sentence
from training.edit.latents import Latents
from training.edit.scenes import KINDS, Scene
from training.stages import chance


@dataclass(frozen=True)
class Phase:
    """A part of the training.

    Attributes:
        share: How much of all steps it takes.
        kinds: How often each kind of scene comes.
        unmentioned: How often a batch has one reference more than its captions name.
        blind: The share of a batch that is nothing but noise: there only the references help.
    """

    share: float
    kinds: Mapping[str, float]
    unmentioned: float
    blind: float


PHASES = (
    Phase(0.11, {"one": 1}, unmentioned=0, blind=0.3),
    Phase(0.19, {"one": 25, "pair": 50, "above": 25}, unmentioned=0, blind=0.3),
    Phase(0.22, {"one": 15, "pair": 25, "above": 15, "three": 45}, unmentioned=0.05, blind=0.3),
    Phase(
        0.48,
        {
            "words": 8,
            "one": 12,
            "background": 4,
            "move": 4,
            "recolour": 6,
            "remove": 6,
            "pair": 18,
            "above": 8,
            "before": 6,
            "three": 20,
            "room": 8,
        },
        unmentioned=0.15,
        blind=0.2,
    ),
)
_MENTIONABLE = ("one", "pair", "above")
"""Kinds whose captions say which reference is meant, so that another one can be given with them."""


def phase_at(share: float) -> Phase:
    """The phase when so much of the training is over."""
    for phase in PHASES:
        share -= phase.share
        if share < 0:
            return phase
    return PHASES[-1]


@dataclass(frozen=True)
class Batch:
    """Tasks with the same number of references.

    Attributes:
        pictures: What is wanted, (batch, 64, channels).
        references: (batch, references, 16, channels).
    """

    pictures: Tensor
    references: Tensor
    captions: list[str]


class Batches:
    """Draws batches from latents. What a step gets depends on its number alone."""

    def __init__(self, latents: Latents, size: int) -> None:
        self.latents, self.size = latents, size
        self.by_kind: dict[str, list[int]] = {kind: [] for kind in KINDS}
        for number, scene in enumerate(latents.scenes):
            self.by_kind[scene.kind].append(number)

    def draw(self, step: int, phase: Phase) -> Batch:
        draw = chance("batch", step)
        count = KINDS[_kind(phase, draw)]
        extra = count in (1, 2) and draw.random() < phase.unmentioned
        kinds = {
            kind: weight
            for kind, weight in phase.kinds.items()
            if KINDS[kind] == count and (not extra or kind in _MENTIONABLE)
        }
        given = count + extra
        rows = [draw.choice(self.by_kind[draw.choices(list(kinds), list(kinds.values()))[0]]) for _ in range(self.size)]
        references = torch.zeros(self.size, given, *self.latents.references.shape[1:])
        captions = []
        for place, row in enumerate(rows):
            scene, start = self.latents.scenes[row], self.latents.starts[row]
            order = draw.sample(range(given), count)
            for number, position in enumerate(order):
                references[place, position] = self.latents.references[start + number]
            for position in set(range(given)) - set(order):
                references[place, position] = self.latents.references[draw.randrange(len(self.latents.references))]
            captions.append(sentence(scene, order, given, draw))
        return Batch(self.latents.pictures[rows].float(), references, captions)

    def captions(self, step: int, phase: Phase, count: int) -> tuple[list[str], Tensor]:
        """More captions, and what they say: int64 (captions, questions)."""
        draw = chance("captions", step)
        texts, said = [], []
        for _ in range(count):
            scene = self.latents.scenes[draw.choice(self.by_kind[_kind(phase, draw)])]
            order, given = _order(scene, phase, draw)
            texts.append(sentence(scene, order, given, draw))
            said.append(labels(scene, order))
        return texts, torch.tensor(said).view(count, len(QUESTIONS))


def _kind(phase: Phase, draw: random.Random) -> str:
    return draw.choices(list(phase.kinds), list(phase.kinds.values()))[0]


def _order(scene: Scene, phase: Phase, draw: random.Random) -> tuple[list[int], int]:
    """The places of a scene's references among those given, and how many are given."""
    count = len(scene.references)
    given = count + (scene.kind in _MENTIONABLE and draw.random() < phase.unmentioned)
    return draw.sample(range(given), count), given
