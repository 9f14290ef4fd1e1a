"""Accounting: what ended requests noted goes into the ledger and the samples, and the queue is sampled each minute.

Several processes may run it at the same time.
"""

from collections.abc import Mapping

from pipelet.domain.capacity.series import Gauges
from pipelet.domain.catalog import Catalog
from pipelet.domain.ports.store import QueueCounts, Store

INTERVAL_SECONDS = 5.0
"""Seconds between two runs. Sums of usage count what has not been added up yet, samples do not."""
SAMPLE_RETENTION_MINUTES = 30 * 24 * 60
_CHUNK_SIZE = 500
"""Requests added up at once, which takes some 3 ms; other tasks run in between."""
_EMPTY = QueueCounts(queued=0, running=0, oldest_submitted_at=None)


class Accounting:
    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        self._sampled_minute = 0

    async def run(self) -> None:
        """Add up and sample once. Call it every `INTERVAL_SECONDS`."""
        while await self._store.usage.add_up(_CHUNK_SIZE) == _CHUNK_SIZE:
            pass
        minute = int(self._store.clock.now() // 60)
        if minute != self._sampled_minute:
            if not await self._store.usage.is_sampled(minute):
                await self._store.usage.sample(minute, await self._gauges())
            if minute // 60 != self._sampled_minute // 60:
                await self._store.usage.delete_samples(minute - SAMPLE_RETENTION_MINUTES, minute + 60)
            while await self._store.changes.forget_deletions(_CHUNK_SIZE):
                pass
            self._sampled_minute = minute

    async def _gauges(self) -> Mapping[str, Gauges]:
        now, counts = self._store.clock.now(), await self._store.queue.counts()
        live = await self._store.workers.live(now)
        gauges = {}
        for app in {*self._catalog.served_apps(), *counts}:
            found = counts.get(app, _EMPTY)
            oldest = found.oldest_submitted_at
            gauges[app] = Gauges(
                queued=found.queued,
                oldest_seconds=None if oldest is None else max(0.0, now - oldest),
                running=found.running,
                workers=sum(worker.serves(app) for worker in live),
            )
        return gauges
