from itertools import pairwise
from typing import Any

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle


def test_delays_grow_to_the_maximum_and_start_over_after_a_success() -> None:
    """Each is longer than the one before until the maximum, none exceeds it, and a success resets them."""
    backoff = Backoff(initial=0.5, maximum=5.0)

    delays = [backoff.next() for _ in range(10)]
    backoff.reset()

    assert 0.4 <= delays[0] <= 0.5
    assert all(earlier < later for earlier, later in pairwise(delays[:4]))
    assert all(4.0 <= delay <= 5.0 for delay in delays[5:])
    assert 0.4 <= backoff.next() <= 0.5


def test_a_repeated_reason_is_written_once_and_then_once_a_minute() -> None:
    """The line that follows says how many were left out; another reason is written at once."""
    lines: list[tuple[str, dict[str, Any]]] = []
    times = iter([0.0, 1.0, 2.0, 59.0, 60.0, 61.0, 62.0])
    throttle = LogThrottle(clock=lambda: next(times))

    for reason in ["away"] * 6 + ["full"]:
        throttle.write(lambda event, **fields: lines.append((event, fields)), "loop.failed", reason=reason, loop="x")

    assert lines == [
        ("loop.failed", {"reason": "away", "loop": "x"}),
        ("loop.failed", {"reason": "away", "loop": "x", "repeated": 3}),
        ("loop.failed", {"reason": "full", "loop": "x"}),
    ]


def test_what_is_remembered_of_reasons_is_bounded() -> None:
    """A reason that differs each time is written each time, and memory does not grow with it."""
    lines: list[str] = []
    throttle = LogThrottle()

    for number in range(1000):
        throttle.write(lambda event, **_: lines.append(event), "loop.failed", reason=str(number))

    assert len(lines) == 1000
    assert len(throttle._written) <= 100
