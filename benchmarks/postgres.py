"""The shared store: what commits that are made durable together bring, and what a deep and busy queue costs.

A server of its own, that waits for the disk as any server does. `--rows 1000000` is the goal's depth.
"""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import cyclopts
from tests.support import databases
from tests.support.jobs import APP, claim_request, make_job, success
from tests.support.servers import postgres

from benchmarks.accounts import limits
from benchmarks.lib import load, orders
from benchmarks.lib.service import scratch, serving
from benchmarks.lib.table import Line, Ratio, in_us, load_now, median, percentile, show
from pipelet.domain.accounts.api_keys import ApiKey, hash_secret, new_secret
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.store import rows
from pipelet.store.postgres import PostgresStore, open_postgres
from pipelet.store.postgres.connection.queries import SQL

_MOST_TIMES = 2.0
_SUBMITTERS = 16
_CLAIMERS = 16
_USER = "ann"
_MIN_RATE = 0.65
"""Submits per second of several processes to one level, against those in the order `fifo`."""


def main(
    *,
    rows: int = 100_000,
    samples: int = 300,
    seconds: float = 5,
    churn: int = 5_000,
    waiting: int = 1_000,
    processes: int = 4,
    with_limits: bool = False,
) -> None:
    """
    Parameters
    ----------
    rows
        Queued requests of the deep queue.
    samples
        Measurements of each operation on each queue.
    seconds
        How long each way to commit is measured, twice.
    churn
        Requests that come, begin and end while others wait.
    waiting
        Those others.
    processes
        Processes that submit to one level at once.
    with_limits
        Compare a key of all default limits with one without.
    """
    before = load_now()
    with postgres.running(options="-c max_connections=200") as server, scratch() as folder:
        urls = {
            name: databases.new_postgres_url(server) for name in ("commits", "empty", "deep", "churn", "fair", "fifo")
        }
        lines = asyncio.run(_commits(urls["commits"], seconds))
        lines += _processes(urls["fair"], urls["fifo"], seconds, count=processes)
        lines += asyncio.run(orders.compare(lambda: databases.new_postgres_url(server), rows, samples))
        lines += asyncio.run(_depth(folder, urls["empty"], urls["deep"], rows, samples))
        lines += asyncio.run(_churn(urls["churn"], churn, waiting))
        if with_limits:
            lines += asyncio.run(_limits(databases.new_postgres_url(server), samples))
    show(f"PostgreSQL, {rows:,} queued in the deep queue", lines, load=before)


async def _limits(url: str, samples: int) -> list[Line]:
    async with open_postgres(url, pool_size=4) as store:
        return await limits.compare(store, samples)


async def _commits(url: str, seconds: float) -> list[Line]:
    """Three processes' stores, many at once, one priority: all update the same row of the counters."""
    async with contextlib.AsyncExitStack() as exits:
        stores = [await exits.enter_async_context(open_postgres(url, pool_size=8)) for _ in range(3)]
        together, alone = [], []
        for _ in range(2):
            together.append(await _rate(stores, lambda store: store.jobs.submit(make_job()), seconds))
            alone.append(await _rate(stores, _submit_and_wait, seconds))
    value = f"{max(together):,.0f}/s"
    return [
        Line(
            "submits, made durable together",
            value,
            f"{max(together) / max(alone):.1f} times {max(alone):,.0f}/s where each commit waits for the disk",
            ratio=Ratio(max(together) / max(alone), higher_is_better=True),
        )
    ]


def _processes(fair_url: str, fifo_url: str, seconds: float, *, count: int) -> list[Line]:
    """Processes of a user each submit to one level, in turns on a database of each order."""
    asyncio.run(orders.set_order(fifo_url, QueueOrder.FIFO))
    rates: dict[str, list[float]] = {fair_url: [], fifo_url: []}
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("fork")) as pool:
        for number in range(3):
            for url in rates if number % 2 else reversed(rates):
                done = pool.map(_submit_for, [url] * count, range(count), [seconds / 2] * count)
                rates[url].append(sum(done) / (seconds / 2))
    fair, fifo = (median(rates[url]) for url in (fair_url, fifo_url))
    reference = f"{fair / fifo:.2f} times {fifo:,.0f}/s in the order fifo"
    what, goal = f"submits of {count} processes to one level", f"≥ {_MIN_RATE:g} times"
    ratio = Ratio(fair / fifo, higher_is_better=True)
    return [Line(what, f"{fair:,.0f}/s", reference, goal, fair / fifo >= _MIN_RATE, ratio)]


def _submit_for(url: str, number: int, seconds: float) -> int:
    """Submit for some seconds, eight at once; return the number of submits."""

    async def submit() -> int:
        async with open_postgres(url, pool_size=8) as store:
            return round(
                seconds * await _rate([store], lambda store: store.jobs.submit(_job(f"user-{number}")), seconds)
            )

    return asyncio.run(submit())


def _job(user: str) -> Job:
    return replace(make_job(user=user), model="demo", turn_cost=3_000_000)


async def _submit_and_wait(store: PostgresStore) -> None:
    """The road not taken."""
    text, names = SQL["submit_job"]
    columns = rows.job_columns(_job(_USER))
    await store._pool.run_durable(lambda connection: connection.fetch(text, *(columns[name] for name in names)))


async def _rate(
    stores: list[PostgresStore], operation: Callable[[PostgresStore], Awaitable[object]], seconds: float
) -> float:
    done, end = 0, time.perf_counter() + seconds

    async def go_on(store: PostgresStore) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await operation(store)
            done += 1

    await asyncio.gather(*(go_on(store) for store in stores for _ in range(_SUBMITTERS)))
    return done / seconds


async def _depth(folder: Path, empty_url: str, deep_url: str, count: int, samples: int) -> list[Line]:
    """Sixteen workers claim, and a vacuum runs, while claims and positions are timed on both in turns."""
    seconds = await _fill(deep_url, count)
    with _api(folder / "empty", empty_url) as of_empty, _api(folder / "deep", deep_url) as of_deep:
        found = await _times((empty_url, deep_url), (of_empty, of_deep), samples)
    lines = [Line("time to fill the deep queue", f"{seconds:.0f} s")]
    for what, (base, deep_ones) in found.items():
        times = median(deep_ones) / median(base)
        reference = f"{times:.2f} times the empty queue's {in_us(median(base))}"
        met = times <= _MOST_TIMES
        lines.append(
            Line(f"{what}, 16 workers claiming", in_us(median(deep_ones)), reference, "≤ 2 times", met, Ratio(times))
        )
    return lines


async def _times(
    urls: tuple[str, str], apis: tuple["_Api", "_Api"], samples: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Return, by what was timed, seconds on the empty queue and on the deep one."""
    found: dict[str, tuple[list[float], list[float]]] = {
        what: ([], []) for what in ("claim", "job and position", "GET status with position")
    }
    async with _busy(urls[0]) as empty, _busy(urls[1]) as deep:
        for api, (store, _) in zip(apis, (empty, deep), strict=True):
            await store.api_keys.add(api.key)
        for number in range(samples):
            for side, (store, waiting) in enumerate((empty, deep)):
                await store.jobs.submit(make_job(user=_USER))
                found["claim"][side].append(
                    await _timed(lambda store=store: store.leases.claim(claim_request(now=time.time(), seconds=86_400)))
                )
                job_id = waiting[number % len(waiting)]
                found["job and position"][side].append(await _timed(lambda s=store, j=job_id: _position(s, j)))
                poll = asyncio.to_thread(apis[side].status, job_id)
                found["GET status with position"][side].append(await _timed(lambda poll=poll: poll))
    for base, deep_ones in found.values():
        del base[0], deep_ones[0]  # opened connections and filled caches
    return found


@dataclass(frozen=True, slots=True)
class _Api:
    """One whose requests are asked for by the key of their user."""

    call: load.Caller
    secret: str

    @property
    def key(self) -> ApiKey:
        return ApiKey(id="benchmark", name="benchmark", user=_USER, hash=hash_secret(self.secret), created_at=0.0)

    def status(self, job_id: str) -> None:
        status, body = self.call(load.status(self.secret, job_id))
        assert status == 202, body


@contextlib.contextmanager
def _api(data_dir: Path, url: str) -> Iterator[_Api]:
    with serving(data_dir, workers=0, settings={"PIPELET_DATABASE_URL": url}) as service:
        yield _Api(load.Caller(service.port), new_secret())


async def _fill(url: str, count: int) -> float:
    """Rows as `submit` writes them, but copied; then the counters, as the triggers would have left them."""
    began = time.perf_counter()
    connection = await asyncpg.connect(url)
    columns = rows.job_columns(make_job(user=_USER)) | {"state": "queued", "attempt": 0}
    names = list(columns)
    await connection.execute("SET session_replication_role = replica")
    for start in range(0, count, 50_000):
        batch = [
            tuple({**columns, "id": make_id(number), "priority": number % 5}[name] for name in names)
            for number in range(start, min(start + 50_000, count))
        ]
        await connection.copy_records_to_table("job", records=batch, columns=names)
    await connection.execute("SELECT queue_run_rebuild()")
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return time.perf_counter() - began


def make_id(number: int) -> str:
    return f"{number:020d}"


@contextlib.asynccontextmanager
async def _busy(url: str) -> AsyncIterator[tuple[PostgresStore, list[str]]]:
    """A store, ids of waiting requests spread over its queue, and others at work on it."""
    async with open_postgres(url, pool_size=_CLAIMERS + 4) as store:
        # Of a priority that no claim gets to: as many requests of higher priority are submitted as are claimed.
        jobs = [(await store.jobs.submit(make_job(user=_USER, priority=-1))).id for _ in range(20)]
        connection = await asyncpg.connect(url)
        spread = await connection.fetch("SELECT id FROM job WHERE priority < 4 AND seq % 997 = 0 LIMIT 100")
        others = [asyncio.create_task(_claim_and_submit(store)) for _ in range(_CLAIMERS)]
        others.append(asyncio.create_task(_vacuum(connection)))
        try:
            yield store, [row["id"] for row in spread] or jobs
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await connection.close()


async def _claim_and_submit(store: PostgresStore) -> None:
    """Submit and claim some ten requests a second: as many arrive as start."""
    while True:
        await store.jobs.submit(make_job(user=_USER, priority=4))
        # A lease that lasts: the APIs requeue the requests of those that have expired.
        await store.leases.claim(claim_request(now=time.time(), seconds=86_400))
        await asyncio.sleep(0.1)


async def _vacuum(connection: asyncpg.Connection) -> None:
    while True:
        await connection.execute("VACUUM job, queue_run")
        await asyncio.sleep(0.2)


async def _position(store: PostgresStore, job_id: str) -> None:
    job: Job | None = await store.jobs.get(job_id)
    assert job is not None
    await store.queue.work_ahead(job, [APP])


async def _churn(url: str, count: int, waiting: int) -> list[Line]:
    """Whether the head of the queue's index fills up with what has left it."""
    async with open_postgres(url, pool_size=8) as store:
        for _ in range(waiting):
            await store.jobs.submit(make_job())
        claims = []
        for _ in range(count):
            await store.jobs.submit(make_job())
            began = time.perf_counter()
            lease = await store.leases.claim(claim_request())
            claims.append(time.perf_counter() - began)
            assert lease is not None
            await store.leases.finish(lease, success("outputs/a.png"), 1_000_001.0)
    tenth = count // 10
    first, last = claims[:tenth], claims[-tenth:]
    times = median(last) / median(first)
    return [
        Line(
            f"claim after others have passed, {waiting:,} waiting",
            f"{in_us(median(last))}, p99 {in_us(percentile(last, 0.99))}",
            f"{times:.2f} times the first ones' {in_us(median(first))}, after {count:,}",
            "flat",
            times <= 1.3,
            Ratio(times),
        )
    ]


async def _timed(operation: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await operation()
    return time.perf_counter() - began


if __name__ == "__main__":
    cyclopts.run(main)
