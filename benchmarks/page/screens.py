"""Every screen of the page with many requests in the database: how long the API takes to its first data.

The requests have ended over the last thirty days, half of them of the key that asks; the others belong to a
thousand users with a key each. The times are those of the calls that the page makes, over HTTP, one after the other.
"""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import cyclopts
from tests.support import databases
from tests.support.jobs import EDIT, make_job, make_key

from benchmarks.lib import load
from benchmarks.lib.service import APP, Service, api_alone
from benchmarks.lib.table import Line, Ratio, in_ms, load_now, median, show
from pipelet.domain.accounts.api_keys import hash_secret
from pipelet.domain.capacity.series import Histogram
from pipelet.domain.jobs.listing import JobFilter, Reader
from pipelet.domain.webhooks.delivery import Webhook
from pipelet.store import rows as columns_of

_MAX_SECONDS = 0.1
_MAX_LIST_SECONDS = 0.002
_DAYS = 30
_DAY = 86_400
_USERS = 1000
_WAITING = 1000
_IN_ONE_TRANSACTION = 50_000
_PATIENCE = 5.0
"""Seconds after which a slow call is not repeated."""

Table = tuple[str, Sequence[str], Iterable[tuple[Any, ...]]]
"""Its name, its columns, and rows for it."""


def main(*, rows: int = 1_000_000, samples: int = 15, postgres: bool = False) -> None:
    """
    Parameters
    ----------
    rows
        Requests that have ended.
    samples
        How often each call is made.
    postgres
        On a PostgreSQL server of its own.
    """
    before = load_now()
    with api_alone(postgres=postgres) as (service, url):
        began = time.perf_counter()
        user = asyncio.run(_fill(service, url, rows))
        filled = f"Time to fill the database: {time.perf_counter() - began:.0f} s."
        lines = [*asyncio.run(_lists(service, url, user, samples)), *_screens(service, samples)]
    title = f"screens with {rows:,} requests, {'PostgreSQL' if postgres else 'SQLite'}, medians of {samples}"
    show(title, lines, load=before, notes=[filled])


async def _fill(service: Service, url: str, count: int) -> str:
    """Fill the database; return the user of the service's key."""
    async with databases.open_database(url or str(service.database)) as store:
        known = await store.api_keys.find(hash_secret(service.key))
        assert known is not None
        users = min(_USERS, count)
        keys = [replace(make_key(), user=f"user-{number}") for number in range(users)]
        await asyncio.gather(*(store.api_keys.add(key) for key in keys))
        now = time.time()
        tables = [
            _ended(count, known.user, [key.id for key in keys], now),
            _deliveries(count, known.user, now),
            _usage([key.id for key in keys], now),
            _samples(min(_DAYS * 1440, count), now),
        ]
        await (_copy(url, tables) if url else asyncio.to_thread(_insert, service, tables))
        waiting = [make_job(user=known.user, submitted_at=now) for _ in range(min(_WAITING, count))]
        await asyncio.gather(*(store.jobs.submit(job) for job in waiting))
    return known.user


def _insert(service: Service, tables: list[Table]) -> None:
    with contextlib.closing(sqlite3.connect(service.database, isolation_level=None)) as database:
        for name, columns, values in tables:
            into = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
            for batch in _batches(values):
                database.execute("BEGIN IMMEDIATE")
                database.executemany(into, batch)
                database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _copy(url: str, tables: list[Table]) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    for name, columns, values in tables:
        for batch in _batches(values):
            await connection.copy_records_to_table(name, records=batch, columns=columns)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def _batches(values: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    for each in values:
        batch.append(each)
        if len(batch) == _IN_ONE_TRANSACTION:
            yield batch
            batch = []
    yield batch


def _ended(count: int, user: str, keys: Sequence[str], now: float) -> Table:
    template = columns_of.job_columns(
        make_job(webhook=Webhook("https://example.com/hook", "https://example.com", "https://example.com"))
    )
    names = [*template, *_end(0, 0.0)]

    def values() -> Iterator[tuple[Any, ...]]:
        for number in range(count):
            submitted_at, other = _submitted_at(number, count, now), number % len(keys)
            job = template | {
                "id": _id(number),
                "app": EDIT if number % 4 == 0 else APP,
                "owner": user if number % 2 else f"user-{other}",
                "key_id": None if number % 2 else keys[other],
                "submitted_at": submitted_at,
            }
            yield *job.values(), *_end(number, submitted_at).values()

    return "job", names, values()


def _end(number: int, submitted_at: float) -> dict[str, Any]:
    """The columns of an end: one in forty failed, one in fifty was cancelled."""
    state = "failed" if number % 40 == 7 else "cancelled" if number % 50 == 3 else "succeeded"
    image = {"key": f"outputs/{number}.png", "content_type": "image/png", "file_size": 1000, "width": 96, "height": 64}
    return {
        "state": state,
        "attempt": 1,
        "started_at": submitted_at + 5,
        "finished_at": submitted_at + 10,
        "worker": f"gpu-{number % 4}",
        "tasks_done": 12,
        "tasks_total": 12,
        "images": json.dumps([image | {"seed": 42}]) if state == "succeeded" else None,
        "inference_seconds": 4.0,
        "failure_kind": None if state == "succeeded" else "internal" if state == "failed" else "cancelled",
        "failure_message": None if state == "succeeded" else f"CUDA out of memory: tried to allocate {number} MiB.",
    }


def _submitted_at(number: int, count: int, now: float) -> float:
    return now - 60 - _DAYS * _DAY * (count - number) / count


def _id(number: int) -> str:
    return f"{number:020d}"


def _deliveries(count: int, user: str, now: float) -> Table:
    """Return a delivery for every request; all were received."""
    names = ["job_id", "owner", "endpoint", "state", "since", "attempts"]
    ended = ((_id(number), _submitted_at(number, count, now) + 10) for number in range(count))
    return "webhook_delivery", names, ((job, user, "https://example.com", "delivered", at, 1) for job, at in ended)


def _usage(keys: Sequence[str], now: float) -> Table:
    names = [
        "day",
        "owner",
        "key_id",
        "app",
        "requests",
        "images",
        "pixels",
        "device_microseconds",
        "failed",
        "cancelled",
    ]
    today = int(now // _DAY)
    return (
        "usage",
        names,
        (
            (today - day, f"user-{number}", key, app, 20, 20, 20_000_000, 80_000_000, 1, 1)
            for day in range(_DAYS)
            for number, key in enumerate(keys)
            for app in (APP, EDIT)
        ),
    )


def _samples(minutes: int, now: float) -> Table:
    names = ["minute", "app", "queued", "oldest_seconds", "running", "workers", "finished", "failed"]
    names += ["queue_wait", "total", "estimate_error"]
    texts = [_histogram(seed) for seed in range(60)]
    last = int(now // 60) - 2  # later ones are of the service
    return (
        "minute_sample",
        names,
        (
            (last - back, app, 100, 5.0, 4, 4, 12, 0, *(texts[(back * step) % 60] for step in (1, 7, 13)))
            for back in range(minutes)
            for app in (APP, EDIT)
        ),
    )


def _histogram(seed: int) -> str:
    histogram = Histogram()
    for number in range(12):
        histogram.add(0.1 * 1.7 ** ((seed + number * 7) % 12))
    return histogram.to_json()


async def _lists(service: Service, url: str, user: str, samples: int) -> list[Line]:
    """The first page of a user's requests, from the store alone."""
    async with databases.open_database(url or str(service.database)) as store:
        found = []
        for what, owner in (("half of all requests", user), ("none", "nobody")):
            seconds, used = list[float](), time.process_time()
            for _ in range(10 * samples + 1):
                began = time.perf_counter()
                page = await store.history.find_ids(
                    JobFilter(user=owner), Reader(user=owner), after=None, limit=50, now=time.time()
                )
                await store.jobs.get_many(page.ids)
                seconds.append(time.perf_counter() - began)
            cpu = (time.process_time() - used) / len(seconds)
            found.append(_line(f"the store: first page of a user with {what}", seconds[1:], cpu, _MAX_LIST_SECONDS))
    return found


def _screens(service: Service, samples: int) -> list[Line]:
    caller = load.Caller(service.port)
    found = []
    for what, path in _calls(int(time.time())).items():
        seconds, used = list[float](), load.cpu_seconds(service.pid)
        for _ in range(samples + 1):
            began = time.perf_counter()
            status, body = caller(load.request("GET", f"/api/v1/{path}", service.key))
            seconds.append(time.perf_counter() - began)
            assert status in (200, 409), body  # 409: too many to count
            if sum(seconds) > _PATIENCE and len(seconds) > 1:
                break
        cpu = (load.cpu_seconds(service.pid) - used) / len(seconds)
        found.append(_line(what, seconds[1:], cpu, _MAX_SECONDS))
    caller.close()
    return found


def _calls(now: int) -> dict[str, str]:
    """The path of each call of the page, by what it is for."""
    week = f"since={now - 7 * _DAY}&step=1800"
    return {
        "apps": "apps",
        "history": "requests?limit=50",
        "history, failed": "requests?limit=50&state=failed",
        "history, search": "requests?limit=50&q=apple",
        "usage of a user": "usage",
        "overview": "operate/overview",
        "chart of the queue, 7 days": f"operate/series?name=depth&{week}",
        "chart of waits, 7 days": f"operate/series?name=queue_wait&{week}",
        "requests of all users": "requests?limit=50&user=*",
        "requests of all users, failed": "requests?limit=50&user=*&state=failed",
        "requests of all users, running": "requests?limit=50&user=*&state=running",
        "count of all": "requests/count?user=*",
        "count of all queued": "requests/count?user=*&state=queued",
        "count of all failed": "requests/count?user=*&state=failed",
        "failures, 7 days": f"operate/failures?since={now - 7 * _DAY}",
        "keys": "operate/keys",
        "usage of every key": "usage?by=key",
        "webhooks": "operate/webhooks",
        "webhooks, failed": "operate/webhooks?state=failed",
        "storage": "operate/storage",
        "audit": "operate/audit",
    }


def _line(what: str, seconds: list[float], cpu: float, most: float) -> Line:
    taken = median(seconds)
    return Line(what, in_ms(taken), f"{in_ms(cpu)} of CPU", f"≤ {in_ms(most)}", taken <= most, Ratio(taken / most))


if __name__ == "__main__":
    cyclopts.run(main)
