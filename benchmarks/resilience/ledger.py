"""Kills a process while it ends requests and adds up the ledger, and compares the ledger with the requests.

    python -m benchmarks.resilience.ledger --kills 1000

The process submits, claims, finishes, fails, cancels and loses requests as fast as it can, and is killed with SIGKILL
at a random moment, again and again. Exits with 1 where the ledger has anything else than the requests cost.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path

import cyclopts
from tests.support import databases
from tests.support.jobs import claim_request, make_job, success
from tests.support.ledger import ledger_faults
from tests.support.servers import postgres

from benchmarks.lib.service import scratch
from benchmarks.lib.table import Line, load_now, show
from pipelet.domain.errors import StoreError
from pipelet.domain.jobs.outcome import Cancelled, Failed, Failure, FailureKind, Interrupted, Released
from pipelet.domain.ports.store import Store

_LIFE_SECONDS = (0.1, 0.3)
"""Seconds that a process lives from its first statement: a connection to PostgreSQL may take longer than that."""
_OUTCOMES = (
    success("outputs/a.png"),
    success("outputs/a.png"),
    Failed(Failure(FailureKind.INTERNAL, "broken")),
    Interrupted(Failure(FailureKind.WORKER_LOST, "lost")),
    Released("stopping"),
    Cancelled(success("outputs/a.png").images),
)


def main(*, kills: int = 200, seed: int = 1) -> None:
    """
    Parameters
    ----------
    kills
        Kills on each database.
    seed
        Chooses the moments, and what the process does.
    """
    before = load_now()
    with scratch() as folder, postgres.running() as server:
        files = {"SQLite": _new_sqlite(folder), "PostgreSQL": databases.new_postgres_url(server)}
        lines = [_line(name, database, kills, seed) for name, database in files.items()]
    show(f"The ledger after {kills:,} kills", lines, load=before)
    sys.exit(0 if all(line.met for line in lines) else 1)


def _line(name: str, database: str, kills: int, seed: int) -> Line:
    began = time.perf_counter()
    ended, faults = measure(database, kills=kills, seed=seed)
    for fault in faults:
        print(fault)
    value = f"{len(faults)} rows that differ, {ended:,} requests"
    return Line(name, value, f"{time.perf_counter() - began:.0f} s", "0", not faults and ended > 0)


def measure(database: str, *, kills: int, seed: int) -> tuple[int, list[str]]:
    """Return how many requests ended, and what is wrong. `database` is a URL of PostgreSQL, or an embedded file."""
    rng = random.Random(seed)
    for _ in range(kills):
        connected, connects = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                asyncio.run(_work(database, random.Random(rng.random()), connects))
            os._exit(1)
        os.close(connects)
        os.read(connected, 1)
        os.close(connected)
        time.sleep(rng.uniform(*_LIFE_SECONDS))
        rng.random()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return asyncio.run(_judge(database))


def _new_sqlite(folder: Path) -> str:
    databases.new_sqlite(folder)
    return str(folder / "pipelet.sqlite")


async def _work(database: str, rng: random.Random, connected: int) -> None:
    """End requests until the process is killed. Close the file `connected` when the database responds."""
    async with databases.open_database(database) as store:
        await store.check()
        os.close(connected)
        await asyncio.gather(*(_end_requests(store, rng) for _ in range(4)), _add_up(store, rng))


async def _end_requests(store: Store, rng: random.Random) -> None:
    while True:
        with contextlib.suppress(StoreError):
            now = time.time()
            job = await store.jobs.submit(make_job(user=f"user{rng.randrange(3)}", submitted_at=now))
            if rng.random() < 0.2:
                await store.jobs.cancel(job.id, now)
                continue
            await store.leases.requeue_expired(now)
            lease = await store.leases.claim(claim_request(now=now, seconds=0.1))
            if lease is not None:
                await store.leases.finish(lease, rng.choice(_OUTCOMES), time.time())


async def _add_up(store: Store, rng: random.Random) -> None:
    while True:
        with contextlib.suppress(StoreError):
            await store.usage.add_up(rng.randint(1, 20))
        await asyncio.sleep(0.002)


async def _judge(database: str) -> tuple[int, list[str]]:
    async with databases.open_database(database) as store:
        faults = await ledger_faults(store)
        return len(await store.jobs.finished_since(0.0, 10_000_000)), faults


if __name__ == "__main__":
    cyclopts.run(main)
