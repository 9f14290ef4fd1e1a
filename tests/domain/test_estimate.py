"""The estimate."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelet.domain.capacity.cost_model import (
    PRIOR_GENERATE,
    CostModel,
    Work,
    prior_costs,
    remaining_seconds,
    spec_work,
)
from tests.support.jobs import make_spec

SIZES = [(64, 64), (256, 256), (512, 384), (1024, 1024), (3200, 2000)]


def true_seconds(work: Work, factor: float = 1.0) -> float:
    costs = (0.03, 0.004, 0.5, 0.15, 0.03)
    return factor * sum(cost * amount for cost, amount in zip(costs, work.amounts(), strict=True))


def mixed_works(rng: random.Random, count: int) -> list[Work]:
    works = []
    for _ in range(count):
        width, height = rng.choice(SIZES)
        batch, steps = rng.choice([1, 2, 4]), rng.choice([4, 8, 20])
        works.append(spec_work(make_spec(width=width, height=height, batch_size=batch, num_inference_steps=steps)))
    return works


def test_before_anything_was_learned_it_is_sane() -> None:
    """Without a single finished request, every size gets a positive time that grows with the work."""
    works = [spec_work(make_spec(width=w, height=h)) for w, h in SIZES]
    seconds = [prior_costs().service(work, work) for work in works]

    assert seconds == sorted(seconds)
    assert 0.01 < seconds[0] < seconds[-1] < 600


@pytest.mark.parametrize("factor", [0.01, 1.0, 50.0])
def test_one_request_sets_the_scale(factor: float) -> None:
    """A single observation already tells a fast machine from a slow one, for the same kind of request."""
    work = spec_work(make_spec(width=512, height=512))

    cost_models = CostModel().observe(work, true_seconds(work, factor))

    assert pytest.approx(true_seconds(work, factor), rel=0.1) == cost_models.fit(PRIOR_GENERATE).predict(work)


def test_it_learns_a_mixed_load_from_noisy_times() -> None:
    """After 60 requests of many shapes with 10 % noise, the typical prediction is within 5 % of the truth."""
    rng = random.Random(1)
    cost_models = CostModel()
    for work in mixed_works(rng, 60):
        cost_models = cost_models.observe(work, true_seconds(work) * rng.uniform(0.9, 1.1))

    costs = cost_models.fit(PRIOR_GENERATE)
    errors = sorted(abs(costs.predict(work) / true_seconds(work) - 1) for work in mixed_works(rng, 200))

    assert errors[100] < 0.05
    assert errors[180] < 0.25


def test_it_follows_a_machine_that_changed() -> None:
    """When requests begin to take three times as long, the old times are forgotten."""
    rng = random.Random(2)
    cost_models = CostModel()
    for work in mixed_works(rng, 200):
        cost_models = cost_models.observe(work, true_seconds(work))
    for work in mixed_works(rng, 150):
        cost_models = cost_models.observe(work, true_seconds(work, 3.0))

    work = spec_work(make_spec(width=512, height=384))
    assert pytest.approx(true_seconds(work, 3.0), rel=0.15) == cost_models.fit(PRIOR_GENERATE).predict(work)


@given(
    st.lists(
        st.tuples(st.sampled_from(SIZES), st.integers(1, 16), st.integers(1, 100), st.floats(1e-4, 1e4)), max_size=30
    )
)
def test_no_history_makes_it_absurd(history: list[tuple[tuple[int, int], int, int, float]]) -> None:
    """Whatever was observed, predictions are finite, never negative, and never fall when the work grows."""
    cost_models = CostModel()
    for (width, height), batch, steps, seconds in history:
        spec = make_spec(width=width, height=height, batch_size=batch, num_inference_steps=steps)
        cost_models = cost_models.observe(spec_work(spec), seconds)

    costs = cost_models.fit(PRIOR_GENERATE)
    predictions = [costs.predict(spec_work(make_spec(width=w, height=h))) for w, h in SIZES]

    assert predictions == sorted(predictions)
    assert 0 <= predictions[0] <= predictions[-1] < 1e12


def test_what_remains_follows_the_prediction_and_then_the_progress() -> None:
    """Time left falls as it passes; a prediction that was too short gives way to what the progress says."""
    assert 9.0 == remaining_seconds(10.0, 1.0, 0.0)
    assert 6.0 == remaining_seconds(10.0, 4.0, 0.4)
    assert 5.0 == remaining_seconds(10.0, 15.0, 0.75)
    assert 0.0 == remaining_seconds(10.0, 15.0, 1.0)
