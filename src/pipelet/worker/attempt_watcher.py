"""Notices what users want of running attempts: that they stop, or previews.

To stop one, `attempt_runner` ends its wait for the attempt, and `engine_process` tells the engine to stop generating.
"""

import asyncio

from pipelet.concurrency.cancel import wait_for_event
from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.errors import PipeletError
from pipelet.domain.ports.engine import Engine
from pipelet.domain.ports.store import Store
from pipelet.worker.lease_keeper import LeaseKeeper

_POLL_INTERVAL = 1.0
"""Seconds between polls, should the worker have missed a notification."""
_MIN_POLL_INTERVAL = 0.2
"""Seconds between polls at least: every submit notifies, too, and a busy worker need not poll for each."""


class AttemptWatcher:
    def __init__(self, keeper: LeaseKeeper, store: Store, engine: Engine, worker: str) -> None:
        self.poll_now = asyncio.Event()
        """Set it when a user may want something of a running attempt."""
        self._keeper = keeper
        self._store = store
        self._engine = engine
        self._worker = worker

    async def run(self) -> None:
        await run_periodically(_MIN_POLL_INTERVAL, self._wait_and_poll, name="signals", expected=PipeletError)

    async def _wait_and_poll(self) -> None:
        await wait_for_event(self.poll_now, seconds=_POLL_INTERVAL)
        self.poll_now.clear()
        if not self._keeper.held:
            return
        now = self._store.clock.now()
        for token, wanted in (await self._store.leases.list_signals(self._worker, now)).items():
            held = self._keeper.held.get(token)
            if held is None:  # the attempt has ended during the query
                continue
            if wanted.is_cancelled:
                held.cancelled.set()
            if wanted.previews_until is not None:
                self._engine.request_previews(held.lease.job.id, wanted.previews_until - now)
