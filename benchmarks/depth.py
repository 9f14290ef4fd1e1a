"""What a deep queue costs: submit, claim and status with an exact position, on an empty and on very full queues.

The full ones are written through the store's own INSERT with its triggers at work, in large transactions. Submits and
claims take turns, so that the depth stays what it is. Every turn looks at the empty queue and at each full one.
"""

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import cyclopts
from tests.support.jobs import claim_request, make_job

from benchmarks.lib import load
from benchmarks.lib.service import APP, Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, in_us, load_now, median, show
from pipelet.domain.accounts.api_keys import hash_secret
from pipelet.domain.jobs.job import Job
from pipelet.store.rows import job_columns
from pipelet.store.sqlite import SqliteStore, open_sqlite
from pipelet.store.sqlite.connection.queries import SQL

_MOST_TIMES = 2.0
_IN_ONE_TRANSACTION = 50_000
_LOOKED_AT = 100
"""Requests whose status is asked for, spread over the whole queue."""


@dataclass
class Queue:
    """A store with `levels` priorities, and what was measured on it, in seconds."""

    name: str
    levels: int
    data_dir: Path
    jobs: list[Job]
    filled: str
    submit: list[float] = field(default_factory=list)
    claim: list[float] = field(default_factory=list)
    position: list[float] = field(default_factory=list)
    http: list[float] = field(default_factory=list)


def main(*, rows: int = 100_000, samples: int = 300, levels: tuple[int, ...] = (1, 5, 1000)) -> None:
    """
    Parameters
    ----------
    rows
        Queued requests. The goal is for 1,000,000.
    samples
        Measurements of each operation on each queue.
    levels
        Over how many priorities the requests are spread, one queue for each.
    """
    before = load_now()
    with scratch() as folder:
        queues = [_prepare(folder / "empty", "empty", 0, 1)]
        queues += [_prepare(folder / f"levels{count}", _name(count), rows, count) for count in levels]
        _measure(queues, samples)
    empty, *full = queues
    lines = [line for queue in full for line in _lines(queue, empty)]
    notes = [f"Time to fill and size of the database: {'; '.join(queue.filled for queue in full)}."]
    show(f"{rows:,} queued against an empty queue, medians", lines, load=before, notes=notes)


def _name(levels: int) -> str:
    return f"{levels:,} {'priority' if levels == 1 else 'priorities'}"


def _prepare(data_dir: Path, name: str, count: int, levels: int) -> Queue:
    """A database that `pipelet serve` can open, with `count` queued requests in it."""
    data_dir.mkdir()
    with serving(data_dir, workers=0) as service:  # makes the tables and the first key
        user = _user_of(service)
    rng = random.Random(levels)
    kept_every, kept, began = max(1, count // _LOOKED_AT), [], time.perf_counter()
    with contextlib.closing(sqlite3.connect(data_dir / "pipelet.sqlite", isolation_level=None)) as database:
        for start in range(0, count, _IN_ONE_TRANSACTION):
            database.execute("BEGIN IMMEDIATE")
            for number in range(start, min(start + _IN_ONE_TRANSACTION, count)):
                job = make_job(priority=rng.randrange(levels), user=user, submitted_at=time.time())
                database.execute(SQL["submit_job"], job_columns(job)).fetchall()
                if number % kept_every == 0:
                    kept.append(job.id)
            database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    seconds, megabytes = time.perf_counter() - began, (data_dir / "pipelet.sqlite").stat().st_size / 1e6
    jobs = asyncio.run(_read(data_dir, user, kept))
    return Queue(name, levels, data_dir, jobs, f"{name}: {seconds:.0f} s, {megabytes:.0f} MB")


def _user_of(service: Service) -> str:
    with contextlib.closing(sqlite3.connect(service.database)) as database:
        [(owner,)] = database.execute("SELECT owner FROM api_key WHERE hash = ?", [hash_secret(service.key)]).fetchall()
    return str(owner)


async def _read(data_dir: Path, user: str, ids: list[str]) -> list[Job]:
    """The jobs; on an empty queue one is submitted, so that there is one to ask for."""
    store = open_sqlite(data_dir / "pipelet.sqlite")
    try:
        if not ids:
            return [await store.jobs.submit(make_job(priority=0, user=user, submitted_at=time.time()))]
        found = [await store.jobs.get(job_id) for job_id in ids]
        return [job for job in found if job is not None]
    finally:
        store.close()


def _measure(queues: list[Queue], samples: int) -> None:
    with contextlib.ExitStack() as stack:
        services = [stack.enter_context(serving(queue.data_dir, workers=0)) for queue in queues]
        for number in range(samples + 1):
            for queue, service in zip(queues, services, strict=True):
                _poll(queue, service, number)
        for queue in queues:
            del queue.http[0]  # opened the connection and filled the caches
    asyncio.run(_measure_stores(queues, samples))


_callers: dict[int, load.Caller] = {}


def _poll(queue: Queue, service: Service, number: int) -> None:
    caller = _callers.setdefault(service.port, load.Caller(service.port))
    raw = load.status(service.key, queue.jobs[number % len(queue.jobs)].id)
    began = time.perf_counter()
    status, body = caller(raw)
    queue.http.append(time.perf_counter() - began)
    assert status == 202, body


async def _measure_stores(queues: list[Queue], samples: int) -> None:
    stores = [open_sqlite(queue.data_dir / "pipelet.sqlite") for queue in queues]
    try:
        for number in range(samples):
            for queue, store in zip(queues, stores, strict=True):
                await _operate(queue, store, number)
    finally:
        for store in stores:
            store.close()


async def _operate(queue: Queue, store: SqliteStore, number: int) -> None:
    rng = random.Random(number)
    job = queue.jobs[number % len(queue.jobs)]
    queue.position.append(await _timed(lambda: _position(store, job.id)))
    # One comes and one goes: the depth stays.
    arriving = make_job(priority=rng.randrange(queue.levels), user=job.user, submitted_at=time.time())
    queue.submit.append(await _timed(lambda: store.jobs.submit(arriving)))
    queue.claim.append(await _timed(lambda: store.leases.claim(claim_request(now=time.time(), seconds=1e6))))


async def _position(store: SqliteStore, job_id: str) -> None:
    job = await store.jobs.get(job_id)
    assert job is not None
    await store.queue.work_ahead(job, (APP,))


async def _timed(operation: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await operation()
    return time.perf_counter() - began


def _lines(queue: Queue, empty: Queue) -> list[Line]:
    kinds = {
        "submit": "submit, durable",
        "claim": "claim",
        "position": "job and position from the store",
        "http": "GET status with position",
    }
    lines = []
    for kind, what in kinds.items():
        found, base = getattr(queue, kind), getattr(empty, kind)
        times = median(found) / median(base)
        reference = f"{times:.2f} times the empty queue's {in_us(median(base))}"
        goal, met = f"≤ {_MOST_TIMES:g} times", times <= _MOST_TIMES
        lines.append(Line(f"{queue.name}: {what}", in_us(median(found)), reference, goal, met, Ratio(times)))
    return lines


if __name__ == "__main__":
    cyclopts.run(main)
