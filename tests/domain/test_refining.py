"""The second pass, counted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelet.domain.catalog import Model
from pipelet.domain.estimate import drawing, work_of
from pipelet.domain.progress import tasks_of_job
from pipelet.domain.refining import schedule, steps_taken
from tests.jobs import make_spec

strengths = st.floats(0.01, 0.99)


def refining(**fields: Any) -> Model:
    return Model(**{"name": "m", "source": "x", "native_sizes": ("64x64",), "refine_strength": 0.3, **fields})


@pytest.mark.parametrize(("strength", "steps"), [(0.1, 1), (0.3, 3), (0.5, 4), (0.6, 5), (0.7, 6)])
def test_steps_of_eight(strength: float, steps: int) -> None:
    """As measured with ZImageImg2ImgPipeline at eight steps (at 0.1 the schedule has ten)."""
    assert steps == steps_taken(8, strength)


@given(st.integers(1, 100), strengths)
def test_a_second_pass_keeps_the_picture(steps: int, strength: float) -> None:
    """At least one step is taken, and never so many more than `strength` says that nothing of the picture is left."""
    whole, taken = schedule(steps, strength), steps_taken(steps, strength)

    assert 1 <= taken <= whole
    assert taken < whole * strength + 1
    assert whole >= steps


def test_only_what_is_scaled_up_is_refined() -> None:
    """A picture of a native size, and a smaller one, is done after one pass."""
    model = refining()
    sizes = [(64, 64), (60, 60), (32, 32), (128, 128)]

    assert [0, 0, 0, 3] == [model.refine_steps(make_spec(width=w, height=h)) for w, h in sizes]
    assert 0 == refining(refine_strength=0.0).refine_steps(make_spec(width=128, height=128))


def test_what_leaves_the_engine() -> None:
    """The worker scales up where nobody refines; a refined picture has its size already."""
    spec = make_spec(width=200, height=100)

    assert "64x64" == str(refining(refine_strength=0.0).handed_over(spec).size)
    assert spec == refining().handed_over(spec)


def test_two_passes_are_the_work_and_the_tasks_of_both() -> None:
    """A small picture, and a large one in fewer steps, in one request; each pass encodes and decodes."""
    spec = make_spec(width=128, height=128, num_inference_steps=8)

    small, large = (
        work_of(make_spec(width=64, height=64)),
        work_of(make_spec(width=128, height=128, num_inference_steps=3)),
    )
    amounts = [a + b for a, b in zip(small.amounts()[1:], large.amounts()[1:], strict=True)]
    assert [1.0, *amounts] == pytest.approx(drawing(spec, refining()).amounts())
    assert 12 + 3 + 2 == tasks_of_job(spec, refining(), 1)
