"""Deep queues on PostgreSQL in the order `fair`, filled by several crowds, against one in the order `fifo`."""

import contextlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import asyncpg
from tests.support.jobs import APP, claim_request

from benchmarks.lib.crowds import CROWDS, FIFO, Accounts, Crowd
from benchmarks.lib.table import Line, Ratio, in_us, median
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.store import rows
from pipelet.store.postgres import PostgresStore, open_postgres

_AT_ONCE = 50_000
_LOOKED_AT = 100
_GOALS = {"submit": 1.5, "claim": 1.2, "job and position": None}
"""How many times the figure of the order `fifo` a fair one may be."""


@dataclass
class _Queue:
    crowd: Crowd
    url: str
    arriving: Iterator[Job]
    kept: list[str]
    """Ids of requests that wait, spread over the queue."""
    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in _GOALS})


async def compare(new_database: Callable[[], str], count: int, samples: int) -> list[Line]:
    """Fill a database for each crowd with `count` requests, and time operations on all of them in turns."""
    queues = [await _fill(new_database(), crowd, count) for crowd in (FIFO, *CROWDS)]
    async with contextlib.AsyncExitStack() as exits:
        stores = [await exits.enter_async_context(open_postgres(queue.url, pool_size=2)) for queue in queues]
        for number in range(samples + 1):
            for queue, store in random.Random(number).sample(list(zip(queues, stores, strict=True)), len(queues)):
                await _operate(queue, store, number)
    for queue in queues:
        for seconds in queue.seconds.values():
            del seconds[0]  # opened connections and filled caches
    fifo, *fair = queues
    return [_line(queue, kind, fifo) for queue in fair for kind in _GOALS]


async def set_order(url: str, order: QueueOrder) -> None:
    async with open_postgres(url, pool_size=2) as store:
        await store.queue.set_order(order)


async def _fill(url: str, crowd: Crowd, count: int) -> _Queue:
    """Copy rows as submits write them; then the counters, as triggers would have left them."""
    await set_order(url, QueueOrder(crowd.order))
    arriving, accounts, ids = crowd.jobs(1, submitted_at=time.time()), Accounts(crowd.order), []
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    for start in range(0, count, _AT_ONCE):
        batch = []
        for job in itertools.islice(arriving, min(_AT_ONCE, count - start)):
            charged = None if crowd.order == "fifo" else job.priority
            more = {"state": "queued", "attempt": 0, "turn": accounts.turn(job), "charged_priority": charged}
            batch.append(rows.job_columns(job) | more)
            ids.append(job.id)
        names = list(batch[0])
        records = [tuple(columns[name] for name in names) for columns in batch]
        await connection.copy_records_to_table("job", records=records, columns=names)
    finishes = [("demo", priority, user, finish) for (priority, user), finish in accounts.finish.items()]
    await connection.copy_records_to_table("turn_account", records=finishes)
    await connection.execute("SELECT queue_run_rebuild()")
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return _Queue(crowd, url, arriving, ids[:: max(1, count // _LOOKED_AT)])


async def _operate(queue: _Queue, store: PostgresStore, number: int) -> None:
    """One comes and one goes: the depth stays."""
    arriving, job_id = next(queue.arriving), queue.kept[number % len(queue.kept)]
    claim = claim_request(now=time.time(), seconds=86_400)
    operations = {
        "submit": lambda: store.jobs.submit(arriving),
        "claim": lambda: store.leases.claim(claim),
        "job and position": lambda: _position(store, job_id),
    }
    for kind, operation in operations.items():
        queue.seconds[kind].append(await _timed(operation))


async def _position(store: PostgresStore, job_id: str) -> None:
    job = await store.jobs.get(job_id)
    assert job is not None
    await store.queue.work_ahead(job, [APP])


async def _timed(operation: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await operation()
    return time.perf_counter() - began


def _line(queue: _Queue, kind: str, fifo: _Queue) -> Line:
    found, known, goal = median(queue.seconds[kind]), median(fifo.seconds[kind]), _GOALS[kind]
    times = found / known
    reference = f"{times:.2f} times that of fifo, {in_us(known)}"
    met = None if goal is None else times <= goal
    return Line(
        f"{queue.crowd.name}: {kind}", in_us(found), reference, f"≤ {goal:g} times" if goal else "", met, Ratio(times)
    )
