"""A worker's name belongs to one process at a time."""

import asyncio
from collections.abc import Callable

import structlog

from pipelet.domain.errors import Unusable
from pipelet.domain.ports import JobStore
from pipelet.domain.workers import ReportAnswer, WorkerReport

log = structlog.get_logger()

_TAKE_AGAIN_SECONDS = 0.1
OWN_NAMES = "Give each a name of its own with --name, or none: then it is the host's name with random letters."


async def take_name(store: JobStore, report: Callable[[], WorkerReport], *, look_every: float) -> bool:
    """Report until that is taken; answers True.

    One that was killed looks alive until its last report runs out, and whoever takes its place waits for that, a lease
    at most. One that does live reports again before.

    Raises:
        Unusable: a live worker has the name.
    """
    seen: WorkerReport | None = None
    give_up_at = 0.0
    while await store.report_worker(mine := report()) is ReportAnswer.NAME_TAKEN:
        other = await _holder(store, mine)
        if other is None:  # its report has just run out
            await asyncio.sleep(_TAKE_AGAIN_SECONDS)
            continue
        now = asyncio.get_running_loop().time()
        if seen is None:
            seen, give_up_at = other, now + other.expires_at - other.seen_at
            log.warning("worker.waits_for_its_name", worker=mine.name, at_most_seconds=round(give_up_at - now, 1))
        if (other.incarnation, other.seen_at) != (seen.incarnation, seen.seen_at):
            raise Unusable(f"Another worker called {mine.name} is at work ({other.kind}). {OWN_NAMES}")
        if now > give_up_at:  # by a clock that has been set back since
            await store.forget_worker(other.name, other.incarnation)
        await asyncio.sleep(look_every)
    return True


async def _holder(store: JobStore, mine: WorkerReport) -> WorkerReport | None:
    workers = await store.live_workers(mine.seen_at)
    return next((worker for worker in workers if worker.name == mine.name), None)
