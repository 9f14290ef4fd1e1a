"""Cancel against claim, ten thousand times on each database: exactly one of them wins, and both sides agree which.

    python -m benchmarks.resilience.races --races 10000

Exits with 1 where a request was both cancelled and begun, or neither.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import cyclopts
from tests.support import databases
from tests.support.databases import Opener
from tests.support.jobs import claim_request, make_job
from tests.support.servers import postgres

from benchmarks.lib.table import Line, load_now, show
from pipelet.domain.jobs.job import CancelResult
from pipelet.domain.ports.store import Store

_AT_ONCE = 200
_CLAIMERS = 4


def main(*, races: int = 2_000, smoke: bool = False) -> None:
    """
    Parameters
    ----------
    races
        Requests that are submitted, claimed by one process and cancelled by another, on each database.
    smoke
        Only see whether it runs: one round.
    """
    before, races = load_now(), _AT_ONCE if smoke else races
    with tempfile.TemporaryDirectory() as folder, postgres.running(options="-c fsync=off") as server:
        lines = [
            _line("SQLite", databases.new_sqlite(Path(folder)), races),
            _line("PostgreSQL", databases.new_postgres(server), races),
        ]
    show("Cancel against claim, from two processes' stores", lines, load=before)
    sys.exit(0 if all(line.met for line in lines) else 1)


def _line(name: str, opener: Opener, races: int) -> Line:
    began = time.perf_counter()
    begun, cancelled, broken = asyncio.run(_race(opener, races))
    value = f"{begun:,} begun, {cancelled:,} cancelled, {broken} both or neither"
    return Line(
        f"{name}, {races:,} races", value, f"{time.perf_counter() - began:.0f} s", "0 both or neither", broken == 0
    )


async def _race(opener: Opener, races: int) -> tuple[int, int, int]:
    begun: set[str] = set()
    cancelled: set[str] = set()
    everything: set[str] = set()
    async with opener() as claiming, opener() as cancelling:
        while len(everything) < races:
            jobs = [(await claiming.submit(make_job(priority=number % 3))).id for number in range(_AT_ONCE)]
            everything.update(jobs)
            claims = [asyncio.create_task(_claim_all(claiming, begun)) for _ in range(_CLAIMERS)]
            answers = await asyncio.gather(*(cancelling.cancel(job_id, 1_000_001.0) for job_id in reversed(jobs)))
            cancelled.update(
                job_id
                for job_id, answer in zip(reversed(jobs), answers, strict=True)
                if answer is CancelResult.CANCELLED
            )
            await asyncio.gather(*claims)
    return len(begun), len(cancelled), len(begun & cancelled) + len(everything - begun - cancelled)


async def _claim_all(store: Store, begun: set[str]) -> None:
    while lease := await store.leases.claim(claim_request()):
        begun.add(lease.job.id)


if __name__ == "__main__":
    cyclopts.run(main)
