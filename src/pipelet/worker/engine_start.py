"""Starts the engine of a worker, and starts it again after it has ended."""

import asyncio
import time
from collections.abc import Callable

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.engine import Engine, EngineInfo
from pipelet.domain.errors import EngineError, ModelUnusable

log = structlog.get_logger()

_INITIAL_BACKOFF = 1.0
_MAX_BACKOFF = 60.0
_HEALTHY_SECONDS = 10.0
"""An engine that ran for this time did not end because of its start: the next one starts at once."""
_INITIAL_RESTART_BACKOFF = 0.2
_MAX_RESTART_BACKOFF = 2.0
"""Short: an engine that requests end again and again must not keep the other requests waiting."""


class EngineStart:
    """
    Args:
        worker: its name, for the log.
        on_problem: is told why the engine cannot be started.
    """

    def __init__(self, engine: Engine, *, worker: str, on_problem: Callable[[str], None]) -> None:
        self._engine = engine
        self._worker = worker
        self._on_problem = on_problem
        self._started_at: float | None = None
        self._restart_backoff = Backoff(initial=_INITIAL_RESTART_BACKOFF, maximum=_MAX_RESTART_BACKOFF)
        self._throttle = LogThrottle()

    async def run(self) -> EngineInfo:
        """Start it; a model that cannot be loaded is tried again, for the operator may repair it meanwhile."""
        if self._started_at is not None:
            if time.monotonic() - self._started_at < _HEALTHY_SECONDS:
                await asyncio.sleep(self._restart_backoff.next())
            else:
                self._restart_backoff.reset()
        backoff = Backoff(initial=_INITIAL_BACKOFF, maximum=_MAX_BACKOFF)
        while True:
            try:
                info = await self._engine.start()
            except (ModelUnusable, EngineError) as error:
                reason = " ".join([str(error), getattr(error, "last_words", "")]).strip()
                self._throttle.write(log.error, "engine.unusable", worker=self._worker, reason=reason)
                self._on_problem(reason)
                await asyncio.sleep(backoff.next())
            else:
                self._started_at = time.monotonic()
                return info
