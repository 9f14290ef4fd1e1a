"""The usage ledger: what it costs to note the end of each request, on PostgreSQL, with all requests of one key.

Eight workers end requests at the same time, in turns with and without the ledger's trigger. Another process adds the
entries up, as an API does, but five times as often.
"""

import asyncio
import multiprocessing
import time
from dataclasses import replace

import asyncpg
import cyclopts
from tests.support import databases
from tests.support.jobs import make_job, success
from tests.support.servers import postgres

from benchmarks.lib.table import Line, Ratio, load_now, median, show
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import Job, JobState, Lease
from pipelet.store import rows
from pipelet.store.postgres import PostgresStore, open_postgres

_GOAL = 0.95
_ADD_UP_INTERVAL = 1.0
"""Seconds."""
_CHUNK = 500


def main(*, turns: int = 12, requests: int = 1500, workers: int = 8) -> None:
    """
    Parameters
    ----------
    turns
        Turns with and without the ledger, each.
    requests
        Requests that end in a turn.
    workers
        Workers that end them.
    """
    before = load_now()
    with postgres.running(options="-c max_connections=200") as server:
        url = databases.new_postgres_url(server)
        adding = multiprocessing.get_context("fork").Process(target=_add_up_forever, args=(url,), daemon=True)
        adding.start()
        with_ledger, without = asyncio.run(_measure(url, turns, requests, workers))
        adding.kill()
        adding.join()
    ratio = median([one / other for one, other in zip(with_ledger, without, strict=True)])
    line = Line(
        f"requests that {workers} workers end",
        f"{median(with_ledger):,.0f}/s",
        f"{ratio:.3f} times {median(without):,.0f}/s without the ledger (median of {turns} pairs of turns)",
        f"≥ {_GOAL} times",
        ratio >= _GOAL,
        Ratio(ratio, higher_is_better=True),
    )
    show("The usage ledger on PostgreSQL, requests of one key", [line], load=before)


async def _measure(url: str, turns: int, requests: int, workers: int) -> tuple[list[float], list[float]]:
    rates: dict[bool, list[float]] = {True: [], False: []}
    async with open_postgres(url, pool_size=workers + 2) as store:
        admin = await asyncpg.connect(url)
        for turn in range(2 * turns + 2):
            has_ledger = turn % 4 in (0, 3)  # neither always goes first
            await admin.execute(f"ALTER TABLE job {'ENABLE' if has_ledger else 'DISABLE'} TRIGGER job_record_usage")
            leases = await _running(admin, requests)
            rate = await _end(store, leases, workers)
            if turn >= 2:  # the first opened connections and filled caches
                rates[has_ledger].append(rate)
            while await store.usage.add_up(_CHUNK):
                pass
            await admin.execute("VACUUM job, usage_entry")
        await admin.close()
    return rates[True], rates[False]


async def _running(admin: asyncpg.Connection, count: int) -> list[Lease]:
    """Requests that run, as claims would have left them, but copied."""
    jobs = [replace(make_job(), key_id="key", state=JobState.RUNNING, attempt=1) for _ in range(count)]
    leases = [Lease(job=job, token=new_token(), worker="w", expires_at=2e9) for job in jobs]
    records = [_columns(lease) for lease in leases]
    async with admin.transaction():
        await admin.execute("SET LOCAL session_replication_role = replica")
        await admin.copy_records_to_table(
            "job", records=[tuple(each.values()) for each in records], columns=list(records[0])
        )
    return leases


def _columns(lease: Lease) -> dict[str, object]:
    job: Job = lease.job
    return rows.job_columns(job) | {
        "state": "running",
        "attempt": 1,
        "started_at": job.submitted_at,
        "worker": lease.worker,
        "lease_token": lease.token,
        "lease_expires_at": lease.expires_at,
    }


async def _end(store: PostgresStore, leases: list[Lease], workers: int) -> float:
    """Return the requests that ended, a second."""

    async def work(own: list[Lease]) -> None:
        for lease in own:
            assert await store.leases.finish(lease, success(f"outputs/{lease.token}.png"), lease.job.submitted_at + 1)

    began = time.perf_counter()
    await asyncio.gather(*(work(leases[k::workers]) for k in range(workers)))
    return len(leases) / (time.perf_counter() - began)


def _add_up_forever(url: str) -> None:
    async def run() -> None:
        async with open_postgres(url, pool_size=1) as store:
            while True:
                while await store.usage.add_up(_CHUNK):
                    pass
                await asyncio.sleep(_ADD_UP_INTERVAL)

    asyncio.run(run())


if __name__ == "__main__":
    cyclopts.run(main)
