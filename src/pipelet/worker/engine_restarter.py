"""Starts the engine of a worker, and restarts it after it has exited."""

import asyncio
import time

import structlog

from pipelet.concurrency.backoff import Backoff, retry_until_success
from pipelet.concurrency.cancel import raise_if_cancelled
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import EngineError, ModelLoadError
from pipelet.domain.ports.engine import Engine
from pipelet.worker.heartbeat import Heartbeat

log = structlog.get_logger()

_HEALTHY_SECONDS = 10.0
"""Seconds after which an exit has nothing to do with the start: the next start is immediate."""
_INITIAL_RESTART_BACKOFF = 0.2
_MAX_RESTART_BACKOFF = 2.0
"""Short: an engine that requests crash again and again must not keep the other requests waiting."""


class EngineRestarter:
    """
    Args:
        heartbeat: reports why the engine cannot start, and the profile of the one that runs.
    """

    def __init__(self, engine: Engine, *, heartbeat: Heartbeat) -> None:
        self._engine = engine
        self._heartbeat = heartbeat
        self._started_at: float | None = None
        self._restart_backoff = Backoff(initial=_INITIAL_RESTART_BACKOFF, maximum=_MAX_RESTART_BACKOFF)
        self._throttle = LogThrottle()

    async def run(self) -> None:
        """Start the engine. A model that cannot be loaded is retried, since the operator may fix it."""
        if self._started_at is not None:
            if time.monotonic() - self._started_at < _HEALTHY_SECONDS:
                raise_if_cancelled()
                await asyncio.sleep(self._restart_backoff.next())
            else:
                self._restart_backoff.reset()
        info = await retry_until_success(
            self._engine.start,
            retry_on=(ModelLoadError, EngineError),
            backoff=Backoff(initial=1.0, maximum=60.0),
            on_failure=self._report,
        )
        self._started_at = time.monotonic()
        log.info("engine.ready", model=info.model, device=info.device, seconds=info.load_seconds)
        self._heartbeat.profile = f"{info.model} on {info.device}"
        self._heartbeat.set_problem(None)

    def _report(self, error: Exception) -> None:
        reason = " ".join([str(error), getattr(error, "stderr_tail", "")]).strip()
        self._throttle.write(log.error, "engine.start_failed", reason=reason)
        self._heartbeat.set_problem(reason)
