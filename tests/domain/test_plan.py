"""The second pass, counted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelet.domain.capacity.cost_model import generation_work, spec_work
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.plan import plan_generation, schedule_steps, steps_run
from pipelet.domain.jobs.progress import tasks_per_job
from tests.support.jobs import make_spec

strengths = st.floats(0.01, 0.99)


def refining(**fields: Any) -> ModelConfig:
    return ModelConfig(**{"name": "m", "source": "x", "native_sizes": ("64x64",), "refine_strength": 0.3, **fields})


@pytest.mark.parametrize(("strength", "steps"), [(0.1, 1), (0.3, 3), (0.5, 4), (0.6, 5), (0.7, 6)])
def test_steps_of_eight(strength: float, steps: int) -> None:
    """As measured with ZImageImg2ImgPipeline at eight steps (at 0.1 the schedule has ten)."""
    assert steps == steps_run(8, strength)


@given(st.integers(1, 100), strengths)
def test_a_second_pass_keeps_the_image(steps: int, strength: float) -> None:
    """At least one step is taken, and never so many more than `strength` says that nothing of the image is left."""
    whole, taken = schedule_steps(steps, strength), steps_run(steps, strength)

    assert 1 <= taken <= whole
    assert taken < whole * strength + 1
    assert whole >= steps


def test_only_what_is_scaled_up_is_refined() -> None:
    """An image of a native size, and a smaller one, is done after one pass."""
    model = refining()
    sizes = [(64, 64), (60, 60), (32, 32), (128, 128)]

    assert [0, 0, 0, 3] == [plan_generation(make_spec(width=w, height=h), model).refine_steps for w, h in sizes]
    assert 0 == plan_generation(make_spec(width=128, height=128), refining(refine_strength=0.0)).refine_steps


def test_what_leaves_the_engine() -> None:
    """The worker scales up where the model does not refine; a refined image has its size already."""
    spec = make_spec(width=200, height=100)

    assert "64x64" == str(plan_generation(spec, refining(refine_strength=0.0)).output.size)
    assert spec == plan_generation(spec, refining()).output


def test_two_passes_are_the_work_and_the_tasks_of_both() -> None:
    """A small image, and a large one in fewer steps, in one request; each pass encodes and decodes."""
    spec = make_spec(width=128, height=128, num_inference_steps=8)

    small, large = (
        spec_work(make_spec(width=64, height=64)),
        spec_work(make_spec(width=128, height=128, num_inference_steps=3)),
    )
    amounts = [a + b for a, b in zip(small.amounts()[1:], large.amounts()[1:], strict=True)]
    assert [1.0, *amounts] == pytest.approx(generation_work(plan_generation(spec, refining())).amounts())
    assert 12 + 3 + 2 == tasks_per_job(plan_generation(spec, refining()), 1)
