"""Delays between attempts that fail."""

import random

_JITTER = 0.2
"""Share of a delay. Processes that lost the same server must not all come back to it at the same moment."""


class Backoff:
    """Delays in seconds that double from `initial` to `maximum`, until `reset`.

    Each is shortened at random by up to a fifth.
    """

    def __init__(self, *, initial: float, maximum: float) -> None:
        self._initial = min(initial, maximum)
        self._maximum = maximum
        self._delay = self._initial

    def next(self) -> float:
        """How long to wait after the failure that just happened."""
        delay, self._delay = self._delay, min(2 * self._delay, self._maximum)
        return delay * (1 - _JITTER * random.random())  # noqa: S311 - it spreads load, it guards nothing

    def reset(self) -> None:
        """An attempt has succeeded: the next failure starts with `initial` again."""
        self._delay = self._initial
