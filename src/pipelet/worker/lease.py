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
        self._ending: set[str] = set()

    @contextlib.contextmanager
    def hold(self, lease: Lease) -> Iterator[asyncio.Event]:
        """Extend `lease` while inside. The event is set when somebody else has the job: stop, touch nothing of it."""
        lost = asyncio.Event()
        self._held[lease.token] = (lease, lost)
        try:
            yield lost
        finally:
            del self._held[lease.token]
            self._ending.discard(lease.token)

    def ending(self, lease: Lease) -> None:
        """From now on only the store's answer to the end of the attempt tells whether the lease was lost.

        The end takes the lease away, too, and a beat may notice before the answer arrives.
        """
        self._ending.add(lease.token)

    async def beat(self) -> None:
        """One round of extensions, to be made several times within a lease's length."""
        for lease, lost in list(self._held.values()):
            if await self._store.extend(lease, self._clock.now() + self.seconds):
                continue
            if lease.token in self._held and lease.token not in self._ending:
                lost.set()
