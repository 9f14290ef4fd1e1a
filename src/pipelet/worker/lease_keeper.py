"""Renews the leases of running attempts, and notifies an attempt that has lost its lease."""

import asyncio
import contextlib
from collections.abc import Iterator

from pipelet.domain.jobs.job import Lease
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.store import Store


class LeaseKeeper:
    def __init__(self, store: Store, clock: Clock, seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._held: dict[str, tuple[Lease, asyncio.Event]] = {}
        self._finishing: set[str] = set()

    @contextlib.contextmanager
    def hold(self, lease: Lease) -> Iterator[asyncio.Event]:
        """Renew `lease` while inside. The event is set when another worker has the job: stop, and leave it alone."""
        lost = asyncio.Event()
        self._held[lease.token] = (lease, lost)
        try:
            yield lost
        finally:
            del self._held[lease.token]
            self._finishing.discard(lease.token)

    def mark_finishing(self, lease: Lease) -> None:
        """From now on only the result of finishing the attempt says whether the lease was lost.

        Finishing ends the lease, and a renewal may notice that before the result arrives.
        """
        self._finishing.add(lease.token)

    async def renew_all(self) -> None:
        """Renew every lease once; call it several times within the length of a lease."""
        for lease, lost in list(self._held.values()):
            if await self._store.leases.renew(lease, self._clock.now() + self._seconds):
                continue
            if lease.token in self._held and lease.token not in self._finishing:
                lost.set()
