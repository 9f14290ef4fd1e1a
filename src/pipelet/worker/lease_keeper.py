"""Renews the leases of running attempts, and notifies an attempt of a lost lease."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.errors import PipeletError
from pipelet.domain.jobs.job import Lease
from pipelet.domain.ports.store import Store
from pipelet.worker.config import WorkerConfig


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
        self.held: dict[str, HeldLease] = {}
        """Those of running attempts, by their token."""
        self._config = config
        self._store = store

    @contextlib.contextmanager
    def hold(self, lease: Lease) -> Iterator[HeldLease]:
        """Renew `lease` while inside."""
        held = self.held[lease.token] = HeldLease(lease)
        try:
            yield held
        finally:
            del self.held[lease.token]

    async def renew_leases(self) -> None:
        """Renew every lease until cancelled, several times within the length of a lease."""
        interval = self._config.lease_seconds / 4
        await run_periodically(interval, self._renew_all, name="leases", expected=PipeletError, max_backoff=interval)

    async def _renew_all(self) -> None:
        for held in list(self.held.values()):
            expires_at = self._store.clock.now() + self._config.lease_seconds
            if await self._store.leases.renew(held.lease, expires_at):
                continue
            if not held.is_finishing:
                held.lost.set()
