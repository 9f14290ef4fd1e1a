"""Notifies running attempts that their request was cancelled.

`attempt_runner` then stops waiting for the attempt, and `engine_process` tells the engine to stop generating.
"""

import asyncio

from pipelet.concurrency.cancel import wait_for_event
from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.errors import PipeletError
from pipelet.domain.ports.store import LeaseStore
from pipelet.worker.lease_keeper import LeaseKeeper

_POLL_INTERVAL = 1.0
"""Seconds between polls, should the worker have missed a notification."""
_MIN_POLL_INTERVAL = 0.2
"""Seconds between polls at least: every submit notifies, too, and a busy worker need not poll for each."""


class CancelWatcher:
    def __init__(self, keeper: LeaseKeeper, leases: LeaseStore, worker: str) -> None:
        self.poll_now = asyncio.Event()
        """Set it when a request may have been cancelled."""
        self._keeper = keeper
        self._leases = leases
        self._worker = worker

    async def run(self) -> None:
        await run_periodically(_MIN_POLL_INTERVAL, self._wait_and_poll, name="cancels", expected=PipeletError)

    async def _wait_and_poll(self) -> None:
        await wait_for_event(self.poll_now, seconds=_POLL_INTERVAL)
        self.poll_now.clear()
        if not self._keeper.held:
            return
        for token in await self._leases.list_cancel_requests(self._worker):
            if held := self._keeper.held.get(token):  # the attempt may have ended during the query
                held.cancelled.set()
