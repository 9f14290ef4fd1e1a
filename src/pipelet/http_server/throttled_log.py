"""Log events that any client can cause, as often as it likes."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import structlog

log = structlog.get_logger()

_INTERVAL = 60.0


class ThrottledLog:
    """Writes one line a minute of each event, with the number of events since the line before."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._written_at: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def warning(self, event: str, **fields: Any) -> None:
        now = self._now()
        if now - self._written_at.get(event, -_INTERVAL) < _INTERVAL:
            self._suppressed[event] = self._suppressed.get(event, 0) + 1
            return
        self._written_at[event] = now
        log.warning(event, **fields, suppressed=self._suppressed.pop(event, 0))
