"""Open pages at the service: a submit next to twenty of them, and the overview for one watcher and for fifty.

The pages are real ones, in Chromium, of users with requests of their own; the watchers of the overview are connections.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from playwright.sync_api import Browser
from tests.support.browsers.visits import Visits

from benchmarks.lib import load
from benchmarks.lib.service import Service
from benchmarks.lib.table import Line, Ratio, in_ms, in_us, median

_MAX_SUBMIT = 1.1
_MAX_OVERVIEW = 1.2
_SUBMITS_PER_SECOND = 20


def measure_submits(browser: Browser, service: Service, *, pages: int, submits: int, turns: int) -> Iterator[Line]:
    """Measure submits of a user without a page, with none and with `pages` pages of others: in a row, and as a busy
    service gets them."""
    caller = load.Caller(service.port)
    keys = [_new_key(service, caller, f"user{number}") for number in range(pages)]
    raw = load.submission(service.key, width=64, height=64)
    for key in keys:
        caller(load.submission(key, width=64, height=64))
    alone, watched = _Submits(), _Submits()
    for _ in range(turns):
        alone.take(service, caller, raw, submits // turns)
        visits = Visits(browser)
        for number, key in enumerate(keys):
            path = "/ui/#/operate" if number % 10 == 9 else "/ui/"
            page = visits.open(f"http://127.0.0.1:{service.port}", path, key=key)
            page.locator("main :is(h1, form)").first.wait_for()
        watched.take(service, caller, raw, submits // turns)
        visits.close()
    caller.close()
    yield _submit_line(f"submit after submit with {pages} open pages, p50", alone.in_a_row, watched.in_a_row)
    yield _submit_line(f"{_SUBMITS_PER_SECOND} submits a second, likewise", alone.paced, watched.paced)
    yield Line("CPU of the API for such a submit", in_us(watched.cpu), f"{in_us(alone.cpu)} without pages")


@dataclass(eq=False)
class _Submits:
    """Seconds of submits, and what the paced ones cost the API."""

    in_a_row: list[float] = field(default_factory=list)
    paced: list[float] = field(default_factory=list)
    _cpu: float = 0.0

    def take(self, service: Service, caller: load.Caller, raw: bytes, count: int) -> None:
        self.in_a_row += _time_submits(caller, raw, count, pause=0.0)
        before = load.cpu_seconds(service.pid)
        self.paced += _time_submits(caller, raw, count, pause=1 / _SUBMITS_PER_SECOND)
        self._cpu += load.cpu_seconds(service.pid) - before

    @property
    def cpu(self) -> float:
        """Seconds for each paced submit."""
        return self._cpu / len(self.paced)


def _submit_line(what: str, alone: list[float], watched: list[float]) -> Line:
    times = median(watched) / median(alone)
    reference = f"{times:.2f} times the {in_ms(median(alone))} without"
    return Line(what, in_ms(median(watched)), reference, f"≤ {_MAX_SUBMIT} times", times <= _MAX_SUBMIT, Ratio(times))


def _new_key(service: Service, caller: load.Caller, user: str) -> str:
    wanted = {"name": user, "user": user, "scopes": ["generate", "observe"]}
    _, made = caller(load.request("POST", "/api/v1/operate/keys", service.key, wanted))
    return str(made["key"])


def _time_submits(caller: load.Caller, raw: bytes, count: int, *, pause: float) -> Iterator[float]:
    start = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, start + number * pause - time.perf_counter()))
        began = time.perf_counter()
        caller(raw)
        yield time.perf_counter() - began


def measure_overview(service: Service, *, watchers: int, seconds: float) -> list[Line]:
    """The CPU of the API while requests come in, so that the overview changes all the time."""
    none, one, many = (asyncio.run(_cpu_share(service, count, seconds)) for count in (0, 1, watchers))
    times = many / one
    return [
        Line("CPU of the API with submits, no watcher", f"{none:.1%} of a core"),
        Line("… one watcher of the overview", f"{one:.1%} of a core"),
        Line(
            f"… {watchers} watchers",
            f"{many:.1%} of a core",
            f"{times:.2f} times that with one",
            f"≤ {_MAX_OVERVIEW} times",
            times <= _MAX_OVERVIEW,
            Ratio(times),
        ),
    ]


async def _cpu_share(service: Service, watchers: int, seconds: float) -> float:
    opened = [await _open_overview(service) for _ in range(watchers)]
    reading = [asyncio.create_task(_read(reader)) for reader, _ in opened]
    caller = load.Caller(service.port)
    cpu, began = load.cpu_seconds(service.pid), time.perf_counter()
    number = 0
    while (now := time.perf_counter() - began) < seconds:
        await asyncio.to_thread(caller, load.submission(service.key, width=64, height=64))
        number += 1
        await asyncio.sleep(max(0.0, number / _SUBMITS_PER_SECOND - now))
    used, took = load.cpu_seconds(service.pid) - cpu, time.perf_counter() - began
    caller.close()
    assert not any(task.done() for task in reading), "A stream of the overview has ended."
    for task in reading:
        task.cancel()
    for _, writer in opened:
        writer.transport.abort()
    return used / took


async def _open_overview(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(load.request("GET", "/api/v1/operate/stream", service.key))
    await reader.readuntil(b"event: overview")
    return reader, writer


async def _read(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass
