"""What a deep queue costs: submit, claim and status with an exact position, on an empty and on very full queues.

The full ones are written through the store's own INSERT with its triggers at work, in large transactions: in the order
`fifo`, and in the order `fair` with several crowds of users. As many requests come as start, so that the depth stays
what it is. Every turn looks at all queues, in another order each time: a write to one disk delays the next.
"""

import asyncio
import contextlib
import itertools
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import cyclopts
from tests.support.jobs import claim_request

from benchmarks.accounts import limits
from benchmarks.lib import load
from benchmarks.lib.crowds import CROWDS, FIFO, Crowd
from benchmarks.lib.service import APP, USER, Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, in_us, load_now, median, show
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.store.rows import job_columns
from pipelet.store.sqlite import SqliteStore, open_sqlite
from pipelet.store.sqlite.jobs import queue_job
from pipelet.store.sqlite.migrate import migrate_sqlite

T = TypeVar("T")

_IN_ONE_TRANSACTION = 50_000
_LOOKED_AT = 100
"""Requests whose status is asked for, spread over the whole queue."""
_OF_FIFO = {"submit": 1.5, "write": 1.5, "claim": 1.2}
"""How many times the figure of the order `fifo` at the same depth a fair one may be."""
_OF_EMPTY = {"submit": 2.0, "claim": 2.0, "http": 1.5}
"""How many times the empty queue's figure one may be: of the order `fifo`, except for the status."""


@dataclass
class Queue:
    """A store that a crowd has filled, and what was measured on it, in seconds."""

    crowd: Crowd
    data_dir: Path
    arriving: Iterator[Job]
    kept: list[str]
    """Ids of requests that wait, spread over the queue."""
    filled: str
    submit: list[float] = field(default_factory=list)
    write: list[float] = field(default_factory=list)
    claim: list[float] = field(default_factory=list)
    position: list[float] = field(default_factory=list)
    http: list[float] = field(default_factory=list)


def main(*, rows: int = 100_000, samples: int = 300, priorities: int = 1, with_limits: bool = False) -> None:
    """
    Parameters
    ----------
    rows
        Queued requests. The goal is for 1,000,000.
    samples
        Measurements of each operation on each queue.
    priorities
        Over how many priorities the requests are spread.
    with_limits
        Compare a key of all default limits with one without, on the deep queues.
    """
    before = load_now()
    with scratch() as folder:
        queues = [_prepare(folder / "empty", FIFO, 0, priorities)]
        queues += [
            _prepare(folder / str(number), crowd, rows, priorities) for number, crowd in enumerate((FIFO, *CROWDS))
        ]
        _measure(queues, samples)
        limited = asyncio.run(_measure_limits(queues[1:], samples)) if with_limits else []
    empty, fifo, *fair = queues
    lines = [*_fifo_lines(fifo, empty), *(line for queue in fair for line in _fair_lines(queue, fifo, empty))]
    lines += limited
    notes = [f"Time to fill and size of the database: {'; '.join(queue.filled for queue in queues[1:])}."]
    show(f"{rows:,} queued, medians", lines, load=before, notes=notes)


def _prepare(data_dir: Path, crowd: Crowd, count: int, priorities: int) -> Queue:
    """A database that `pipelet serve` can open, with `count` queued requests in it, and at least one."""
    data_dir.mkdir()
    migrate_sqlite(data_dir / "pipelet.sqlite", order=QueueOrder(crowd.order))
    arriving, began = crowd.jobs(1, priorities=priorities, submitted_at=time.time()), time.perf_counter()
    ids: list[str] = []
    with contextlib.closing(sqlite3.connect(data_dir / "pipelet.sqlite", isolation_level=None)) as database:
        database.row_factory = sqlite3.Row
        for start in range(0, max(1, count), _IN_ONE_TRANSACTION):
            database.execute("BEGIN IMMEDIATE")
            for job in itertools.islice(arriving, min(_IN_ONE_TRANSACTION, max(1, count) - start)):
                queue_job(database, job, job_columns(job))
                ids.append(job.id)
            database.execute("COMMIT")
        kept = ids[:: max(1, count // _LOOKED_AT)]
        # Places stay: only the key that asks for them has to be their user's.
        database.executemany("UPDATE job SET owner = ? WHERE id = ?", [(USER, job_id) for job_id in kept])
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    seconds, megabytes = time.perf_counter() - began, (data_dir / "pipelet.sqlite").stat().st_size / 1e6
    filled = f"{crowd.name}: {seconds:.0f} s, {megabytes:.0f} MB"
    return Queue(crowd, data_dir, arriving, kept, filled)


def _measure(queues: list[Queue], samples: int) -> None:
    with contextlib.ExitStack() as stack:
        services = [stack.enter_context(serving(queue.data_dir, workers=0)) for queue in queues]
        for number in range(samples + 1):
            for queue, service in _shuffled(queues, services, number):
                _poll(queue, service, number)
        for queue in queues:
            del queue.http[0]  # opened the connection and filled the caches
    asyncio.run(_measure_stores(queues, samples))


def _shuffled(queues: list[Queue], others: list[T], seed: int) -> list[tuple[Queue, T]]:
    pairs = list(zip(queues, others, strict=True))
    return random.Random(seed).sample(pairs, len(pairs))


_callers: dict[int, load.Caller] = {}


def _poll(queue: Queue, service: Service, number: int) -> None:
    caller = _callers.setdefault(service.port, load.Caller(service.port))
    raw = load.status(service.key, queue.kept[number % len(queue.kept)])
    began = time.perf_counter()
    status, body = caller(raw)
    queue.http.append(time.perf_counter() - began)
    assert status == 202, body


async def _measure_stores(queues: list[Queue], samples: int) -> None:
    stores = [open_sqlite(queue.data_dir / "pipelet.sqlite") for queue in queues]
    try:
        for number in range(samples):
            for queue, store in _shuffled(queues, stores, number):
                await _operate(queue, store, number)
    finally:
        for store in stores:
            store.close()


async def _measure_limits(queues: list[Queue], samples: int) -> list[Line]:
    lines = []
    for queue in queues:
        with contextlib.closing(open_sqlite(queue.data_dir / "pipelet.sqlite")) as store:
            found = await limits.compare(store, samples)
            lines += [replace(line, what=f"{queue.crowd.name}: {line.what}") for line in found]
    return lines


async def _operate(queue: Queue, store: SqliteStore, number: int) -> None:
    job_id = queue.kept[number % len(queue.kept)]
    queue.position.append(await _timed(lambda: _position(store, job_id)))
    # Two come and two go: the depth stays.
    first, second = next(queue.arriving), next(queue.arriving)
    queue.submit.append(await _timed(lambda: store.jobs.submit(first)))
    queue.write.append(await _timed(lambda: _submit_without_disk(store, second)))
    queue.claim.append(await _timed(lambda: _claim(store)))
    await _claim(store)


async def _claim(store: SqliteStore) -> None:
    await store.leases.claim(claim_request(now=time.time(), seconds=1e6))


async def _submit_without_disk(store: SqliteStore, job: Job) -> None:
    await store._writer.write(lambda db: queue_job(db, job, job_columns(job)), durable=False)


async def _position(store: SqliteStore, job_id: str) -> None:
    job = await store.jobs.get(job_id)
    assert job is not None
    await store.queue.work_ahead(job, (APP,))


async def _timed(operation: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await operation()
    return time.perf_counter() - began


def _fifo_lines(fifo: Queue, empty: Queue) -> list[Line]:
    return [_line(fifo, kind, empty, "the empty queue's", _OF_EMPTY.get(kind)) for kind in _KINDS]


def _fair_lines(queue: Queue, fifo: Queue, empty: Queue) -> list[Line]:
    return [
        _line(queue, kind, empty, "the empty queue's", _OF_EMPTY[kind])
        if kind == "http"
        else _line(queue, kind, fifo, "that of fifo", _OF_FIFO.get(kind))
        for kind in _KINDS
    ]


_KINDS = {
    "submit": "submit, durable",
    "write": "submit, without the wait for the disk",
    "claim": "claim",
    "position": "job and position from the store",
    "http": "GET status with position",
}


def _line(queue: Queue, kind: str, base: Queue, whose: str, goal: float | None) -> Line:
    found, known = median(getattr(queue, kind)), median(getattr(base, kind))
    times = found / known
    reference = f"{times:.2f} times {whose} {in_us(known)}"
    met = None if goal is None else times <= goal
    asked = "" if goal is None else f"≤ {goal:g} times"
    return Line(f"{queue.crowd.name}: {_KINDS[kind]}", in_us(found), reference, asked, met, Ratio(times))


if __name__ == "__main__":
    cyclopts.run(main)
