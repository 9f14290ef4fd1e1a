"""Keeps a failure that is repeated from filling the log."""

import time
from collections.abc import Callable

_MAX_REASONS = 100
"""Reasons that are remembered. One that differs each time is not a repeated one, and its loop's backoff bounds it."""


class LogThrottle:
    """Writes a reason when it is new, and then once in `interval` seconds while it is repeated.

    Args:
        clock: answers seconds.
    """

    def __init__(self, *, interval: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._written: dict[tuple[str, str], tuple[float, int]] = {}

    def write(self, write: Callable[..., object], event: str, *, reason: str, **fields: object) -> None:
        """Call `write(event, reason=reason, ...)`, unless that was written a moment ago.

        A line that stands for more than itself says how many were left out before it: `repeated`.
        """
        now, key = self._clock(), (event, reason)
        written_at, left_out = self._written.pop(key, (None, 0))
        if written_at is not None and now - written_at < self._interval:
            self._written[key] = (written_at, left_out + 1)
            return
        if len(self._written) >= _MAX_REASONS:
            del self._written[next(iter(self._written))]
        self._written[key] = (now, 0)
        write(event, reason=reason, **fields, **({"repeated": left_out} if left_out else {}))
