"""Notifies an attempt that its request was cancelled."""

import asyncio
import contextlib
from collections.abc import Iterator

from pipelet.concurrency.cancel import wait_for_event
from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.errors import PipeletError
from pipelet.domain.jobs.job import Lease
from pipelet.domain.ports.store import Store

_POLL_INTERVAL = 1.0
"""Seconds between polls, should the worker have missed a notification."""
_MIN_POLL_INTERVAL = 0.2
"""Seconds between polls at least: every submit notifies, too, and a busy worker need not poll for each."""


class CancelWatcher:
    def __init__(self, store: Store, worker: str) -> None:
        self.poll_now = asyncio.Event()
        """Set it when a request may have been cancelled."""
        self._store = store
        self._worker = worker
        self._watched: dict[str, asyncio.Event] = {}

    @contextlib.contextmanager
    def watch(self, lease: Lease) -> Iterator[asyncio.Event]:
        """Yield an event that is set when the request of `lease` is cancelled."""
        cancelled = asyncio.Event()
        self._watched[lease.token] = cancelled
        try:
            yield cancelled
        finally:
            del self._watched[lease.token]

    async def run(self) -> None:
        await run_periodically(_MIN_POLL_INTERVAL, self._wait_and_poll, name="cancels", expected=PipeletError)

    async def _wait_and_poll(self) -> None:
        await wait_for_event(self.poll_now, seconds=_POLL_INTERVAL)
        self.poll_now.clear()
        if not self._watched:
            return
        for token in await self._store.leases.list_cancel_requests(self._worker):
            if token in self._watched:  # the attempt may have ended during the query
                self._watched[token].set()
