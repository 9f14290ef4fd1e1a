"""What the transformer is shown."""

from itertools import pairwise

import pytest
import torch

from tests.training.edit.test_captions import TURNED, mentioned
from training.edit.curriculum import PHASES, Batches, Phase, phase_at
from training.edit.latents import Latents, scene
from training.edit.scenes import KINDS


@pytest.fixture(scope="module")
def batches() -> Batches:
    """Of scenes whose references have their number for latents."""
    scenes = [scene(number) for number in range(300)]
    counts = [len(each.references) for each in scenes]
    starts = [sum(counts[:number]) for number in range(len(scenes))]
    numbers = torch.arange(sum(counts), dtype=torch.float32).view(-1, 1, 1).expand(-1, 16, 2)
    return Batches(Latents(scenes, torch.zeros(len(scenes), 64, 2), numbers, starts), size=16)


def test_a_caption_names_its_references_by_the_order_in_which_they_are_given(batches: Batches) -> None:
    """One of three references is not mentioned; the two that are named are those of the scene."""
    phase = Phase(1, {"pair": 1}, unmentioned=1, blind=0)
    for step in range(10):
        batch = batches.draw(step, phase)
        assert batch.references.shape[1] == 3
        for references, caption in zip(batch.references[:, :, 0, 0], batch.captions, strict=True):
            first, second = mentioned(caption)[:: -1 if TURNED.search(caption) else 1]
            assert references[second] == references[first] + 1, caption


def test_a_step_gets_the_same_batch_in_every_run(batches: Batches) -> None:
    """A resumed run sees what an undisturbed one would have seen."""
    for step in (1, 2):
        one, other = (batches.draw(step, PHASES[-1]) for _ in range(2))
        assert one.captions == other.captions
        assert torch.equal(one.references, other.references)


def test_phases_fill_the_training_and_forget_no_kind() -> None:
    """They follow each other, end with everything, and no number of references is left out once it came."""
    assert sum(phase.share for phase in PHASES) == pytest.approx(1)
    assert phase_at(0) is PHASES[0]
    assert phase_at(1) is PHASES[-1]
    assert set(PHASES[-1].kinds) == set(KINDS)
    for earlier, later in pairwise(PHASES):
        assert {KINDS[kind] for kind in earlier.kinds} <= {KINDS[kind] for kind in later.kinds}
