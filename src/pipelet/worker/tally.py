"""Counts the tasks an attempt has done, and lets the store know."""

import asyncio

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.catalog import Model
from pipelet.domain.errors import StoreUnusable
from pipelet.domain.job import Lease
from pipelet.domain.ports import JobStore
from pipelet.domain.progress import Progress, tasks_of_job

log = structlog.get_logger()

_SECONDS_BETWEEN_REPORTS = 0.1
_INITIAL_BACKOFF = 0.2
_MAX_BACKOFF = 5.0


class Tally:
    """Reports are made at most ten times a second; the newest wins."""

    def __init__(self, lease: Lease, *, model: Model, parts: int, store: JobStore) -> None:
        self._lease = lease
        self._store = store
        self._total = tasks_of_job(lease.job.spec, model, parts)
        self._drawing = [0] * parts
        self._filing = 0
        self._changed = asyncio.Event()
        self._changed.set()  # the first report, 0 of n, says how much there is to do

    def drawn(self, part: int, tasks: int) -> None:
        """`tasks` of drawing are done in all for this part."""
        self._drawing[part] = max(tasks, self._drawing[part])
        self._changed.set()

    def filed(self) -> None:
        """One more of writing and storing is done."""
        self._filing += 1
        self._changed.set()

    async def report(self) -> None:
        """Runs beside the attempt until cancelled. A lost lease is the lease keeper's to notice."""
        backoff, throttle = Backoff(initial=_INITIAL_BACKOFF, maximum=_MAX_BACKOFF), LogThrottle()
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                now_done = Progress(sum(self._drawing) + self._filing, self._total)
                await self._store.report_progress(self._lease, now_done)
            except StoreUnusable as error:
                throttle.write(log.warning, "progress.delayed", request_id=self._lease.job.id, reason=str(error))
                self._changed.set()
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()
                await asyncio.sleep(_SECONDS_BETWEEN_REPORTS)
