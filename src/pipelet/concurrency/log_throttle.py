"""Keeps a repeated failure from filling the log."""

import time
from collections.abc import Callable

_MAX_REASONS = 100


class LogThrottle:
    """Writes a new reason at once, and a repeated one once in `interval` seconds.

    Args:
        clock: returns seconds.
        max_reasons: maximum reasons to remember. A reason that differs each time is not repeated; the backoff of its
            loop bounds it.
    """

    def __init__(
        self,
        *,
        interval: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        max_reasons: int = _MAX_REASONS,
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._max_reasons = max_reasons
        self._written: dict[tuple[str, str], tuple[float, int]] = {}

    def write(self, write: Callable[..., object], event: str, *, reason: str, **fields: object) -> None:
        """Call `write(event, reason=reason, ...)`, unless the same was written within the interval.

        The next line has the number of lines that were left out before it as `repeated`.
        """
        now, key = self._clock(), (event, reason)
        written_at, left_out = self._written.pop(key, (None, 0))
        if written_at is not None and now - written_at < self._interval:
            self._written[key] = (written_at, left_out + 1)
            return
        if len(self._written) >= self._max_reasons:
            del self._written[next(iter(self._written))]
        self._written[key] = (now, 0)
        write(event, reason=reason, **fields, **({"repeated": left_out} if left_out else {}))
