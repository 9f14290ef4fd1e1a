"""How many workers there should be, and which of them come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelet.fleet.plan import Replica, ReplicaState, plan_scaling
from pipelet.fleet.policy import Demand, ScalingPolicy, StabilizationWindow, desired_workers

STARTING, RUNNING, STOPPING, FAILED = ReplicaState

goals = st.builds(
    lambda minimum, more, target_drain_seconds: ScalingPolicy(
        minimum=minimum,
        maximum=max(1, minimum + more),
        target_drain_seconds=target_drain_seconds,
        scale_down_delay_seconds=300.0,
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
        (1, 0.0, 0, 1),  # something that takes no time has to be generated all the same
        (1, 5.0, 0, 1),
        (100, 59.0, 0, 1),  # many small requests are little work
        (100, 61.0, 0, 2),
        (4, 200.0, 0, 4),
        (2, 600.0, 0, 2),  # a third worker would find nothing to generate
        (100, 1e9, 0, 8),
    ],
)
def test_workers_follow_the_work(requests: int, seconds: float, minimum: int, workers: int) -> None:
    """There are as many workers as it takes to generate the work in time, within the limits."""
    policy = ScalingPolicy(minimum=minimum, maximum=8, target_drain_seconds=60.0, scale_down_delay_seconds=300.0)

    assert workers == desired_workers(Demand(requests, seconds), policy)


@given(demands, goals)
def test_workers_stay_within_the_limits(demand: Demand, policy: ScalingPolicy) -> None:
    """Whatever waits, there are never fewer workers than the minimum nor more than the maximum."""
    assert policy.minimum <= desired_workers(demand, policy) <= policy.maximum


@given(demands, st.integers(0, 1000), st.floats(0, 1e9), goals)
def test_more_work_never_asks_for_fewer_workers(
    demand: Demand, requests: int, seconds: float, policy: ScalingPolicy
) -> None:
    """When requests or seconds are added, the number of workers stays or grows."""
    more = Demand(demand.requests + requests, demand.seconds + seconds)

    assert desired_workers(demand, policy) <= desired_workers(more, policy)


def test_up_at_once_and_down_with_patience() -> None:
    """More is wanted as soon as it is needed; less when nothing more was needed for as long as the goal says."""
    wanted, needs = [], StabilizationWindow(300.0)
    for now, need in [(0, 1), (10, 5), (20, 2), (150, 3), (309, 2), (310, 2), (449, 2), (450, 2)]:
        wanted.append(needs.add(need, now=now))

    assert [1, 5, 5, 5, 5, 3, 3, 2] == wanted


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9)), min_size=1))
def test_needs_that_swing_do_not_move_workers(steps: list[tuple[int, int]]) -> None:
    """Whatever was needed within the goal's patience is still there."""
    now, needs, history = 0, StabilizationWindow(300.0), []
    for seconds, need in steps:
        now += seconds
        history.append((now, need))

        assert max(need for at, need in history if now - at < 300) == needs.add(need, now=now)


def replica(number: int, state: ReplicaState = RUNNING, config_hash: str = "new") -> Replica:
    return Replica(number, config_hash, state)


@pytest.mark.parametrize(
    ("replicas", "wanted", "start", "stop"),
    [
        ([], 2, [0, 1], []),
        ([replica(0), replica(1)], 2, [], []),
        ([replica(1)], 3, [0, 2], []),
        ([replica(0), replica(1), replica(2)], 1, [], [1, 2]),
        ([replica(0, STARTING), replica(1), replica(2)], 2, [], [0]),  # it generates nothing yet
        ([replica(0), replica(1, STOPPING)], 2, [2], []),
        ([replica(0), replica(1), replica(2, STOPPING)], 1, [], [1]),
        ([replica(0), *(replica(number, STOPPING) for number in range(1, 4))], 4, [], []),  # they still hold their GPUs
        ([replica(0, FAILED), replica(1)], 2, [2], [0]),
        ([replica(0, config_hash="old"), replica(1)], 2, [2], [0]),
        ([replica(0, STOPPING, "old"), replica(0)], 2, [1], []),
    ],
)
def test_who_comes_and_who_goes(replicas: list[Replica], wanted: int, start: list[int], stop: list[int]) -> None:
    """Workers with other settings and broken ones go; then those that generate nothing, then the youngest."""
    starting, stopping = plan_scaling(replicas, config_hash="new", wanted=wanted, maximum=4)

    assert (start, stop) == (starting, sorted(replica.number for replica in stopping))


@given(
    st.lists(
        st.builds(Replica, st.integers(0, 9), st.sampled_from(["new", "old"]), st.sampled_from(ReplicaState)),
        unique_by=lambda replica: (replica.config_hash, replica.number),
    ),
    st.integers(0, 6),
)
def test_moves_keep_their_promises(replicas: list[Replica], wanted: int) -> None:
    """No place is filled twice, no worker is stopped twice, and GPUs that are still held count."""
    starting, stopping = plan_scaling(replicas, config_hash="new", wanted=wanted, maximum=6)

    staying = [replica for replica in replicas if replica.state is not STOPPING and replica not in stopping]
    assert set(starting).isdisjoint(replica.number for replica in replicas)
    assert all(replica.state is not STOPPING for replica in stopping)
    assert len(staying) + len(starting) <= wanted
    assert not starting or len(replicas) + len(starting) <= 6
