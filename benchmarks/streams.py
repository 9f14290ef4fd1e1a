"""Open streams of statuses: what each costs one API process, how soon it hears, and what is left of those dropped.

The API is a process of its own. The streams, the submits and the worker that moves the requests are in this one.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field

import asyncpg
import cyclopts
import psutil
from tests.support import databases
from tests.support.jobs import claim_request

from benchmarks.lib import load
from benchmarks.lib.service import APP, Service, api_alone
from benchmarks.lib.table import Line, Ratio, in_ms, in_us, load_now, percentile, show
from pipelet.domain.accounts.api_keys import ApiKey, hash_secret, new_secret
from pipelet.domain.accounts.scopes import ALL_SCOPES
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.store import Store

_AT_ONCE = 100
_USERS = 10
_REQUESTS_PER_USER = 50
_MAX_KIB = 50


@dataclass
class Listener:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: dict[str, float] = field(default_factory=dict)
    """When each message came first."""
    events: int = 0


def main(
    *,
    streams: int = 2000,
    dropped: int = 10_000,
    seconds: float = 20.0,
    silent: float = 10.0,
    postgres: bool = False,
    changes: bool = False,
) -> None:
    """
    Parameters
    ----------
    streams
        Streams that are open at once, each of a request of its own.
    dropped
        Streams that are opened and dropped afterwards.
    seconds
        Seconds for which the requests move.
    silent
        Seconds for which they stand still before.
    postgres
        On a PostgreSQL server of its own, which tells how many transactions there are.
    changes
        Measure `/api/v1/stream` instead, with ten users.
    """
    before = load_now()
    with api_alone(postgres=postgres) as (service, url):
        if changes:
            lines = asyncio.run(_measure_changes(service, url, streams, seconds, silent))
        else:
            lines = asyncio.run(_measure(service, url, streams, dropped, seconds, silent))
    show(f"{streams:,} open streams, one API process, {'PostgreSQL' if postgres else 'SQLite'}", lines, load=before)


async def _transactions(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetchval(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        )
        return int(found)
    finally:
        await connection.close()


async def _measure(service: Service, url: str, streams: int, dropped: int, seconds: float, silent: float) -> list[Line]:
    caller = load.Caller(service.port)
    ids = [caller(load.submission(service.key, width=64, height=64))[1]["request_id"] for _ in range(streams)]
    poll_cpu = _cpu_of_a_poll(service, caller, ids)
    caller.close()
    idle_memory, cpu = load.resident_bytes(service.pid), load.cpu_seconds(service.pid)
    listeners: dict[str, Listener] = {}
    for begin in range(0, streams, _AT_ONCE):
        opened = await asyncio.gather(*(_open(service, each) for each in ids[begin : begin + _AT_ONCE]))
        listeners |= dict(zip(ids[begin : begin + _AT_ONCE], opened, strict=True))
    hearing = [asyncio.create_task(_receive(each)) for each in listeners.values()]
    await asyncio.sleep(silent / 3)
    opening_cpu, memory = load.cpu_seconds(service.pid) - cpu, load.resident_bytes(service.pid)
    if url:
        await asyncio.sleep(10)  # PostgreSQL counts what an idle connection has done up to so much later
    asked = await _transactions(url) if url else 0
    quiet = await _cpu_share(service, silent)
    asked = (await _transactions(url) if url else 0) - asked
    told_before = sum(each.events for each in listeners.values())
    async with databases.open_database(url or str(service.database)) as store:
        began, cpu = time.perf_counter(), load.cpu_seconds(service.pid)
        delays = await _move(store, listeners, seconds)
        took = time.perf_counter() - began
        used, told = load.cpu_seconds(service.pid) - cpu, sum(each.events for each in listeners.values()) - told_before
    for each in hearing:
        each.cancel()
    for listener in listeners.values():
        listener.writer.transport.abort()
    await asyncio.sleep(1)
    before_them, after_first = _connections(service), load.resident_bytes(service.pid)
    for begin in range(0, dropped, _AT_ONCE):
        some = [ids[-1 - (begin + k) % (streams // 2)] for k in range(min(_AT_ONCE, dropped - begin))]
        for listener in await asyncio.gather(*(_open(service, each) for each in some)):
            listener.writer.transport.abort()
    await asyncio.sleep(silent / 3)
    left = _connections(service) - before_them
    return [
        Line("memory of a stream", f"{(memory - idle_memory) / streams / 1024:.1f} KiB", f"{memory >> 20} MiB in all"),
        _against_a_poll("CPU to open one, with its first event", opening_cpu / streams, poll_cpu),
        Line("CPU of the process, all silent", f"{quiet:.1%} of a core"),
        *([Line("transactions of the database, all silent", f"{asked / silent:.1f}/s")] if url else []),
        Line("CPU of the process, moving", f"{used / took:.0%} of a core", f"{told / took:,.0f} events/s"),
        _against_a_poll("CPU of an event", used / max(told, 1), poll_cpu),
        Line("progress written → heard, p50", in_ms(percentile(delays, 0.5))),
        Line("progress written → heard, p99", in_ms(percentile(delays, 0.99))),
        Line(f"connections left of {dropped:,} dropped", str(left), goal="0", met=left <= 0),
        Line(
            "memory after them",
            f"{load.resident_bytes(service.pid) >> 20} MiB",
            f"{after_first >> 20} MiB before them",
        ),
    ]


async def _measure_changes(service: Service, url: str, streams: int, seconds: float, silent: float) -> list[Line]:
    """Streams of all requests of a user, who has as many as the feed watches, of ten users."""
    async with databases.open_database(url or str(service.database)) as store:
        keys = [await _add_user(store, f"user{number}") for number in range(_USERS)]
        caller = load.Caller(service.port)
        for key in keys:
            for _ in range(_REQUESTS_PER_USER):
                caller(load.submission(key, width=64, height=64))
        caller.close()
        idle_memory = load.resident_bytes(service.pid)
        listeners: list[Listener] = []
        for begin in range(0, streams, _AT_ONCE):
            numbers = range(begin, min(begin + _AT_ONCE, streams))
            opened = await asyncio.gather(*(_open_changes(service, keys[number % _USERS]) for number in numbers))
            listeners += opened
        hearing = [asyncio.create_task(_receive_changes(each)) for each in listeners]
        await asyncio.sleep(silent / 2)
        memory, quiet = load.resident_bytes(service.pid), await _cpu_share(service, silent)
        before, cpu, began = sum(each.events for each in listeners), load.cpu_seconds(service.pid), time.perf_counter()
        delays = await _move_changes(store, listeners, seconds)
        used, took = load.cpu_seconds(service.pid) - cpu, time.perf_counter() - began
        told, moving = sum(each.events for each in listeners) - before, load.resident_bytes(service.pid)
    for each in hearing:
        each.cancel()
    for listener in listeners:
        listener.writer.transport.abort()
    size = (max(memory, moving) - idle_memory) / streams / 1024
    return [
        Line(
            "memory of a stream of changes",
            f"{size:.1f} KiB",
            f"{max(memory, moving) >> 20} MiB in all, {idle_memory >> 20} MiB without",
            f"≤ {_MAX_KIB} KiB",
            size <= _MAX_KIB,
            Ratio(size / _MAX_KIB),
        ),
        Line("CPU of the process, all silent", f"{quiet:.1%} of a core"),
        Line("CPU of the process, moving", f"{used / took:.0%} of a core", f"{told / took:,.0f} events/s"),
        Line("progress written → heard, p50", in_ms(percentile(delays, 0.5))),
        Line("progress written → heard, p99", in_ms(percentile(delays, 0.99))),
    ]


async def _add_user(store: Store, user: str) -> str:
    secret = new_secret()
    await store.api_keys.add(
        ApiKey(id=user, name=user, user=user, hash=hash_secret(secret), created_at=0.0, scopes=ALL_SCOPES)
    )
    return secret


async def _open_changes(service: Service, key: str) -> Listener:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(load.request("GET", "/api/v1/stream", key))
    await reader.readuntil(b"event: request")
    return Listener(reader, writer)


async def _receive_changes(listener: Listener) -> None:
    while line := await listener.reader.readline():
        if line.startswith(b"data: "):
            listener.events += 1
            body = json.loads(line[6:])
            listener.heard.setdefault(f"{body.get('id')} {body.get('progress')}", time.perf_counter())


async def _move_changes(store: Store, listeners: list[Listener], seconds: float) -> list[float]:
    """Claims and tasks, as two workers would; how late each task was heard of by the first listener of its user."""
    written: dict[str, float] = {}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        claims = [await store.leases.claim(claim_request(now=time.time(), seconds=600)) for _ in range(2)]
        leases = [lease for lease in claims if lease is not None]
        for done in range(1, 9):
            for lease in leases:
                await store.leases.report_progress(lease, Progress(done, 8))
                written[f"{lease.job.id} { ({'done': done, 'total': 8}) }"] = time.perf_counter()
            await asyncio.sleep(0.25)
        for lease in leases:
            await store.leases.finish(lease, Failed(Failure(FailureKind.INTERNAL, "No worker runs here.")), time.time())
    await asyncio.sleep(2)
    return [
        listener.heard[what] - at for what, at in written.items() for listener in listeners if what in listener.heard
    ]


def _cpu_of_a_poll(service: Service, caller: load.Caller, ids: list[str]) -> float:
    """Seconds of the API's CPU for one `GET` status of a waiting request."""
    used, polls = load.cpu_seconds(service.pid), ids[:500]
    for request_id in polls:
        caller(load.status(service.key, request_id))
    return (load.cpu_seconds(service.pid) - used) / len(polls)


def _against_a_poll(what: str, seconds: float, poll: float) -> Line:
    times = seconds / poll
    return Line(what, in_us(seconds), f"{times:.1f} times a poll's {in_us(poll)}", ratio=Ratio(times))


async def _open(service: Service, request_id: str) -> Listener:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(load.request("GET", f"/fal/queue/{APP}/requests/{request_id}/status/stream", service.key))
    await reader.readuntil(b"data: ")
    await reader.readline()
    return Listener(reader, writer)


async def _receive(listener: Listener) -> None:
    while line := await listener.reader.readline():
        if line.startswith(b"data: "):
            listener.events += 1
            message = json.loads(line[6:])["statusMessages"]["message"]
            listener.heard.setdefault(message, time.perf_counter())


async def _move(store: Store, listeners: dict[str, Listener], seconds: float) -> list[float]:
    """Claims, tasks and claims again, as four quick workers would; how late each task was heard of."""
    written: list[tuple[str, str, float]] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        claims = [await store.leases.claim(claim_request(now=time.time(), seconds=600)) for _ in range(4)]
        leases = [lease for lease in claims if lease is not None]
        for done in range(1, 13):
            for lease in leases:
                await store.leases.report_progress(lease, Progress(done, 12))
                written.append((lease.job.id, str(Progress(done, 12)), time.perf_counter()))
            await asyncio.sleep(0.1)
        for lease in leases:
            await store.leases.finish(lease, Failed(Failure(FailureKind.INTERNAL, "No worker runs here.")), time.time())
    await asyncio.sleep(2)
    # Steps in between that a newer one has overtaken are never told.
    heard = [(listeners[job_id].heard.get(message), at) for job_id, message, at in written if job_id in listeners]
    return [then - at for then, at in heard if then is not None]


async def _cpu_share(service: Service, seconds: float) -> float:
    used = load.cpu_seconds(service.pid)
    await asyncio.sleep(seconds)
    return (load.cpu_seconds(service.pid) - used) / seconds


def _connections(service: Service) -> int:
    """Count the connections of clients: the process may open more to its database."""
    found = psutil.Process(service.pid).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port == service.port for each in found)


if __name__ == "__main__":
    cyclopts.run(main)
