"""How many workers there should be, and which of them come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelet.fleet.moves import Condition, Place, moves
from pipelet.fleet.sizing import Demand, Goal, Needs, needed

COMING, WORKING, LEAVING, BROKEN = Condition

goals = st.builds(
    lambda minimum, more, clear_within: Goal(
        minimum=minimum, maximum=max(1, minimum + more), clear_within=clear_within, patience=300.0
    ),
    st.integers(0, 50),
    st.integers(0, 50),
    st.floats(0.1, 1e5),
)
demands = st.builds(Demand, st.integers(0, 10**7), st.floats(0, 1e12))


@pytest.mark.parametrize(
    ("requests", "seconds", "minimum", "workers"),
    [
        (0, 0.0, 0, 0),
        (0, 0.0, 2, 2),
        (1, 0.0, 0, 1),  # something that takes no time has to be drawn all the same
        (1, 5.0, 0, 1),
        (100, 59.0, 0, 1),  # many small requests are little work
        (100, 61.0, 0, 2),
        (4, 200.0, 0, 4),
        (2, 600.0, 0, 2),  # a third worker would find nothing to draw
        (100, 1e9, 0, 8),
    ],
)
def test_workers_follow_the_work(requests: int, seconds: float, minimum: int, workers: int) -> None:
    """There are as many workers as it takes to draw the work in time, within the limits."""
    goal = Goal(minimum=minimum, maximum=8, clear_within=60.0, patience=300.0)

    assert workers == needed(Demand(requests, seconds), goal)


@given(demands, goals)
def test_workers_stay_within_the_limits(demand: Demand, goal: Goal) -> None:
    """Whatever waits, there are never fewer workers than the minimum nor more than the maximum."""
    assert goal.minimum <= needed(demand, goal) <= goal.maximum


@given(demands, st.integers(0, 1000), st.floats(0, 1e9), goals)
def test_more_work_never_asks_for_fewer_workers(demand: Demand, requests: int, seconds: float, goal: Goal) -> None:
    """When requests or seconds are added, the number of workers stays or grows."""
    more = Demand(demand.requests + requests, demand.seconds + seconds)

    assert needed(demand, goal) <= needed(more, goal)


def test_up_at_once_and_down_with_patience() -> None:
    """More is wanted as soon as it is needed; less when nothing more was needed for as long as the goal says."""
    wanted, needs = [], Needs()
    for now, need in [(0, 1), (10, 5), (20, 2), (150, 3), (309, 2), (310, 2), (449, 2), (450, 2)]:
        needs = needs.then(need, now=now, patience=300.0)
        wanted.append(needs.most)

    assert [1, 5, 5, 5, 5, 3, 3, 2] == wanted


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9)), min_size=1))
def test_needs_that_swing_do_not_move_workers(steps: list[tuple[int, int]]) -> None:
    """Whatever was needed within the goal's patience is still there."""
    now, needs, history = 0, Needs(), []
    for seconds, need in steps:
        now += seconds
        history.append((now, need))
        needs = needs.then(need, now=now, patience=300.0)

        assert max(need for at, need in history if now - at < 300) == needs.most


def place(number: int, condition: Condition = WORKING, edition: str = "new") -> Place:
    return Place(number, edition, condition)


@pytest.mark.parametrize(
    ("places", "wanted", "fill", "clear"),
    [
        ([], 2, [0, 1], []),
        ([place(0), place(1)], 2, [], []),
        ([place(1)], 3, [0, 2], []),
        ([place(0), place(1), place(2)], 1, [], [1, 2]),
        ([place(0, COMING), place(1), place(2)], 2, [], [0]),  # it draws nothing yet
        ([place(0), place(1, LEAVING)], 2, [2], []),
        ([place(0), place(1), place(2, LEAVING)], 1, [], [1]),
        ([place(0), *(place(number, LEAVING) for number in range(1, 4))], 4, [], []),  # they still hold their GPUs
        ([place(0, BROKEN), place(1)], 2, [2], [0]),
        ([place(0, edition="old"), place(1)], 2, [2], [0]),
        ([place(0, LEAVING, "old"), place(0)], 2, [1], []),
    ],
)
def test_who_comes_and_who_goes(places: list[Place], wanted: int, fill: list[int], clear: list[int]) -> None:
    """Workers with other settings and broken ones go; then those that draw nothing, then the youngest."""
    planned = moves(places, edition="new", wanted=wanted, maximum=4)

    assert (fill, clear) == (list(planned.fill), sorted(place.number for place in planned.clear))


@given(
    st.lists(
        st.builds(Place, st.integers(0, 9), st.sampled_from(["new", "old"]), st.sampled_from(Condition)),
        unique_by=lambda place: (place.edition, place.number),
    ),
    st.integers(0, 6),
)
def test_moves_keep_their_promises(places: list[Place], wanted: int) -> None:
    """No place is filled twice, nobody who leaves is told again, and GPUs that are still held count."""
    planned = moves(places, edition="new", wanted=wanted, maximum=6)

    staying = [place for place in places if place.condition is not LEAVING and place not in planned.clear]
    assert set(planned.fill).isdisjoint(place.number for place in places)
    assert all(place.condition is not LEAVING for place in planned.clear)
    assert len(staying) + len(planned.fill) <= wanted
    assert not planned.fill or len(places) + len(planned.fill) <= 6
