"""What is left of the store's and the server's own speed in a real answer, with many connections at once.

Submits are held against `store.submit` called by as many tasks in one process; polls against a route that answers a
constant on the same server. All of it in short turns, one after the other, so that a slow minute slows everything.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import cyclopts
import uvloop
from tests.support.jobs import APP, make_job

from benchmarks.accounts import limits
from benchmarks.lib import load
from benchmarks.lib.api_with_noop import BARE_NOOP, NOOP
from benchmarks.lib.load import Report
from benchmarks.lib.service import Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, load_now, median, show
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import ClaimRequest
from pipelet.domain.jobs.progress import Progress
from pipelet.store.sqlite import open_sqlite
from pipelet.store.sqlite.migrate import migrate_sqlite

_LEAST_SHARE = 0.5


@dataclass
class Turns:
    ahead: int
    """Requests in the queue before the one that is polled."""
    store: list[float] = field(default_factory=list)
    submit: list[Report] = field(default_factory=list)
    limited: list[Report] = field(default_factory=list)
    """Submits of a key with limits, where asked for."""
    second: list[Report] = field(default_factory=list)
    """Submits of a second user without limits: their turns, too, are before those of the first user that wait."""
    noop: list[Report] = field(default_factory=list)
    bare: list[Report] = field(default_factory=list)
    queued: list[Report] = field(default_factory=list)
    running: list[Report] = field(default_factory=list)


def main(
    *, turns: int = 8, seconds: float = 0.7, connections: int = 64, ahead: int = 1000, with_limits: bool = False
) -> None:
    """
    Parameters
    ----------
    turns
        How often everything is measured; the medians are shown.
    seconds
        Length of each measurement.
    connections
        Kept alive, each with one request under way.
    ahead
        Requests in the queue before the one whose status is asked for.
    with_limits
        Submit with a key of all default limits as well.
    """
    before = load_now()
    command = ("-m", "benchmarks.lib.api_with_noop")
    with scratch() as folder, serving(folder / "data", workers=0, command=command) as service:
        found = _measure(service, folder, turns, seconds, connections, ahead, with_limits=with_limits)
    show(f"Throughput with {connections} connections, API alone", _lines(found), load=before, notes=[_client(found)])


def _measure(
    service: Service, folder: Path, turns: int, seconds: float, connections: int, ahead: int, *, with_limits: bool
) -> Turns:
    found = Turns(ahead)
    keys = {}
    if with_limits:
        keys = {"second": service.new_key("second"), "limited": service.new_limited_key("limited", limits.SETTINGS)}
    queued, running = uvloop.run(_two_requests(service, ahead))
    for turn in range(turns + 1):
        rate = uvloop.run(_store_rate(folder / f"store{turn}.sqlite", seconds, connections))
        paths = {
            "submit": load.submission(service.key),
            **{name: load.submission(key) for name, key in keys.items()},
            "noop": load.request("GET", NOOP, service.key),
            "bare": load.request("GET", BARE_NOOP, service.key),
            "queued": load.status(service.key, queued),
            "running": load.status(service.key, running),
        }
        reports = {
            name: load.hammer(service.port, service.pid, raw, connections=connections, seconds=seconds)
            for name, raw in paths.items()
        }
        assert not any(report.failed for report in reports.values()), reports
        if turn == 0:  # everything is warm now
            continue
        found.store.append(rate)
        for name, report in reports.items():
            getattr(found, name).append(report)
    return found


async def _two_requests(service: Service, ahead: int) -> tuple[str, str]:
    """Ids of one that waits and of one that runs; without a worker, so that they stay what they are."""
    store = open_sqlite(service.database)
    caller = load.Caller(service.port)
    try:
        first, *_, last = [caller(load.submission(service.key))[1]["request_id"] for _ in range(ahead + 2)]
        now = time.time()
        lease = await store.leases.claim(
            ClaimRequest(worker="absent", apps=(APP,), token=new_token(), now=now, expires_at=now + 86400)
        )
        assert lease is not None
        assert lease.job.id == first
        await store.leases.report_progress(lease, Progress(3, 12))
    finally:
        caller.close()
        store.close()
    return last, first


async def _store_rate(path: Path, seconds: float, tasks: int) -> float:
    """Submits a second, each durable when it returns."""
    migrate_sqlite(path)
    store, done = open_sqlite(path), 0
    began = time.perf_counter()

    async def submit() -> None:
        nonlocal done
        while time.perf_counter() < began + seconds:
            await store.jobs.submit(make_job(width=1024, height=1024))
            done += 1

    try:
        await asyncio.gather(*(submit() for _ in range(tasks)))
        return done / (time.perf_counter() - began)
    finally:
        store.close()


def _lines(found: Turns) -> list[Line]:
    noops = [report.rate for report in found.noop]
    return [
        Line("`store.submit`", f"{median(found.store):,.0f}/s"),
        _line("POST submit", found.submit, found.store, "of the store's", _LEAST_SHARE),
        *_limited_lines(found),
        Line("constant FastAPI route", f"{median(noops):,.0f}/s", f"server {_server_us(found.noop):.0f} µs CPU each"),
        _line("the same without arguments and models", found.bare, noops, "of the constant route's"),
        _line(f"GET status, {found.ahead:,} ahead", found.queued, noops, "of the constant route's", _LEAST_SHARE),
        _line("GET status, running", found.running, noops, "of the constant route's", _LEAST_SHARE),
    ]


def _limited_lines(found: Turns) -> list[Line]:
    if not found.limited:
        return []
    rates = [report.rate for report in found.submit]
    return [
        _line("POST submit, second user without limits", found.second, rates, "of the first user's"),
        _line(
            "POST submit, key with all default limits", found.limited, rates, "of that without", 1 / limits.MOST_TIMES
        ),
    ]


def _line(what: str, reports: list[Report], bases: list[float], of_what: str, least: float | None = None) -> Line:
    share = median([report.rate / base for report, base in zip(reports, bases, strict=True)])
    rate = median([report.rate for report in reports])
    reference = f"{share:.2f} {of_what}; server {_server_us(reports):.0f} µs CPU each"
    if least is None:
        return Line(what, f"{rate:,.0f}/s", reference)
    return Line(
        what, f"{rate:,.0f}/s", reference, f"≥ {least:.2g}", share >= least, Ratio(share, higher_is_better=True)
    )


def _server_us(reports: list[Report]) -> float:
    return median([report.server_us for report in reports])


def _client(found: Turns) -> str:
    cost = median([report.client_us for report in found.noop])
    busy = median([report.client_cpu_seconds / report.seconds for report in found.noop])
    return f"The load generator took {cost:.0f} µs of CPU a request; at the constant route {busy:.0%} of a core."


if __name__ == "__main__":
    cyclopts.run(main)
