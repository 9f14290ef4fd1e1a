"""Renews the leases of running attempts, and notifies an attempt of a lost lease and of a cancelled request."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipelet.concurrency.cancel import wait_for_event
from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.errors import PipeletError
from pipelet.domain.jobs.job import Lease
from pipelet.domain.ports.store import Store
from pipelet.worker.config import WorkerConfig

_POLL_INTERVAL = 1.0
"""Seconds between polls for cancels, should the worker have missed a notification."""
_MIN_POLL_INTERVAL = 0.2
"""Seconds between polls at least: every submit notifies, too, and a busy worker need not poll for each."""


@dataclass(slots=True)
class HeldLease:
    """The lease of a running attempt."""

    lease: Lease
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when another worker has the job: stop, and leave it alone."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the request is cancelled."""
    is_finishing: bool = False
    """Whether only the result of finishing the attempt says if the lease was lost: finishing ends the lease, and a
    renewal may notice that before the result arrives."""


class LeaseKeeper:
    def __init__(self, config: WorkerConfig, store: Store) -> None:
        self.poll_now = asyncio.Event()
        """Set it when a request may have been cancelled."""
        self._config = config
        self._store = store
        self._held: dict[str, HeldLease] = {}

    @contextlib.contextmanager
    def hold(self, lease: Lease) -> Iterator[HeldLease]:
        """Renew `lease` while inside."""
        held = self._held[lease.token] = HeldLease(lease)
        try:
            yield held
        finally:
            del self._held[lease.token]

    async def renew_leases(self) -> None:
        """Renew every lease until cancelled, several times within the length of a lease."""
        interval = self._config.lease_seconds / 4
        await run_periodically(interval, self._renew_all, name="leases", expected=PipeletError, max_backoff=interval)

    async def watch_cancels(self) -> None:
        await run_periodically(_MIN_POLL_INTERVAL, self._wait_and_poll, name="cancels", expected=PipeletError)

    async def _renew_all(self) -> None:
        for held in list(self._held.values()):
            expires_at = self._store.clock.now() + self._config.lease_seconds
            if await self._store.leases.renew(held.lease, expires_at):
                continue
            if not held.is_finishing:
                held.lost.set()

    async def _wait_and_poll(self) -> None:
        await wait_for_event(self.poll_now, seconds=_POLL_INTERVAL)
        self.poll_now.clear()
        if not self._held:
            return
        for token in await self._store.leases.list_cancel_requests(self._config.name):
            if token in self._held:  # the attempt may have ended during the query
                self._held[token].cancelled.set()
