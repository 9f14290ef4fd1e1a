"""How much others can get before a request starts: the bound that users are promised, by the rules in memory."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tests.store.turns.fair_queue import FairQueue

COSTS = st.sampled_from([1_000_000, 3_000_000, 8_000_000, 25_000_000])
STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), COSTS), min_size=20, max_size=150)


@given(STEPS)
def test_no_other_user_gets_more_before_a_request_starts(steps: list[tuple[int, int, int]]) -> None:
    """While a request waits, each other user gets no more device time than what its user had asked for up to it, with
    the request that ran last, and one request more."""
    queue = FairQueue()
    last: defaultdict[str, int] = defaultdict(int)
    allowed: dict[str, int] = {}
    served: dict[str, defaultdict[str, int]] = {}
    largest: defaultdict[str, int] = defaultdict(int)

    def start() -> None:
        entry = queue.start(queue.in_order(("app",))[0].id)
        last[entry.user] = entry.cost
        for other, got in served.pop(entry.id).items():
            assert got <= allowed[entry.id] + largest[other]
        for waiting in queue.waiting.values():
            if waiting.user != entry.user:
                served[waiting.id][entry.user] += entry.cost

    for number, (user, starts, cost) in enumerate(steps):
        entry = queue.submit(str(number), f"user-{user}", app="app", model="m", priority=0, cost=cost)
        largest[entry.user] = max(largest[entry.user], cost)
        own = [each.cost for each in queue.waiting.values() if each.user == entry.user]
        allowed[entry.id], served[entry.id] = sum(own) + last[entry.user], defaultdict(int)
        for _ in range(min(starts // 2, len(queue.waiting))):
            start()
    while queue.waiting:
        start()
