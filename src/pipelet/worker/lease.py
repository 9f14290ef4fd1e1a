"""Keeps the leases of running attempts alive, and tells an attempt when it has lost its own."""

import asyncio
import contextlib
from collections.abc import Iterator

from pipelet.domain.job import Lease
from pipelet.domain.ports import Clock, JobStore


class LeaseKeeper:
    def __init__(self, store: JobStore, clock: Clock, seconds: float) -> None:
        self._store = store
        self._clock = clock
        self.seconds = seconds
        self._held: dict[str, tuple[Lease, asyncio.Event]] = {}

    @contextlib.contextmanager
    def hold(self, lease: Lease) -> Iterator[asyncio.Event]:
        """Extend `lease` while inside. The event is set when somebody else has the job: stop, touch nothing of it."""
        lost = asyncio.Event()
        self._held[lease.token] = (lease, lost)
        try:
            yield lost
        finally:
            del self._held[lease.token]

    async def beat(self) -> None:
        """One round of extensions, to be made several times within a lease's length."""
        for lease, lost in list(self._held.values()):
            if not await self._store.extend(lease, self._clock.now() + self.seconds) and lease.token in self._held:
                lost.set()
