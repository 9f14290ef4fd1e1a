"""Counts the finished tasks of an attempt, reports them to the store, and learns what users want of the attempt."""

import asyncio
from collections.abc import Callable

from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.errors import StoreError
from pipelet.domain.jobs.job import AttemptSignals, Lease
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.store import LeaseStore

_REPORT_INTERVAL = 0.1


class ProgressReporter:
    """Reports at most ten times a second; the newest count wins.

    Args:
        total: tasks of the attempt.
        batches: number of its micro-batches.
        on_signals: called with what users want of the attempt, as the store replies to a report.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        total: int,
        batches: int,
        leases: LeaseStore,
        on_signals: Callable[[AttemptSignals], None],
    ) -> None:
        self._lease = lease
        self._leases = leases
        self._total = total
        self._on_signals = on_signals
        self._generated = [0] * batches
        self._stored = 0
        self._changed = asyncio.Event()
        self._changed.set()  # the first report, 0 of n, says how much there is to do

    def generated(self, batch: int, tasks: int) -> None:
        """Note that the engine has finished `tasks` of a micro-batch in all."""
        self._generated[batch] = max(tasks, self._generated[batch])
        self._changed.set()

    def stored(self) -> None:
        """Note one more finished task of encoding and storing."""
        self._stored += 1
        self._changed.set()

    async def run(self) -> None:
        """Report until cancelled. The lease keeper notices a lost lease."""
        await run_periodically(_REPORT_INTERVAL, self._report, name="progress", expected=StoreError)

    async def _report(self) -> None:
        await self._changed.wait()
        self._changed.clear()
        try:
            progress = Progress(sum(self._generated) + self._stored, self._total)
            signals = await self._leases.report_progress(self._lease, progress)
        except StoreError:
            self._changed.set()
            raise
        if signals is not None:
            self._on_signals(signals)
