"""Memory of a page that stays open: what is left of 20,000 events and 500 screens, after the garbage is collected.

The page is a real one with its clock advanced. Events come as the service sends them, made from a request that it has
really finished; all other calls reach the service.
"""

import json
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, Route
from tests.support.browsers.visits import Visits

from benchmarks.lib import load
from benchmarks.lib.service import Service
from benchmarks.lib.table import Line, Ratio

_TENTHS = 10
_EVENTS_OF_A_REQUEST = 10
_MAX_HEAP, _MAX_OBJECTS = 1.10, 1.05
_SCREENS = ("#/", "#/history", "#/requests/{id}", "#/usage", "#/operate")
_SCREEN_MS = 3_000
"""Milliseconds by which the clock of the page is advanced on each screen."""
_METRICS = {"JSHeapUsedSize": "heap", "Nodes": "nodes", "JSEventListeners": "listeners"}


class _Events:
    """Takes the place of the stream: each of the page's connections gets what is there, and then ends."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._waiting: Route | None = None
        page.route("**/api/v1/stream*", self._hold)

    def _hold(self, route: Route) -> None:
        self._waiting = route

    def close(self) -> None:
        if self._waiting is not None:
            self._waiting.abort()
        self._page.unroute_all(behavior="ignoreErrors")

    def send(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        while self._waiting is None:
            self._page.clock.run_for(1_000)  # the page waits until it connects again
        route, self._waiting = self._waiting, None
        body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
        route.fulfill(status=200, content_type="text/event-stream", body=body)


def measure_memory(browser: Browser, service: Service, *, events: int, changes: int) -> Iterator[Line]:
    finished = _finish_a_request(service)
    visits = Visits(browser)
    page = visits.open(f"http://127.0.0.1:{service.port}", "/health/live", key=service.key)
    page.clock.install()
    stream = _Events(page)
    page.goto(f"http://127.0.0.1:{service.port}/ui/")
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    number, found, code = 0, [], []
    for tenth in range(_TENTHS):
        requests = max(1, events // _EVENTS_OF_A_REQUEST // _TENTHS)
        stream.send([event for k in range(requests) for event in _life_of_a_request(finished, number + k)])
        number += requests
        for change in range(max(1, changes // _TENTHS)):
            _show(page, _SCREENS[change % len(_SCREENS)].format(id=finished["id"]))
        _show(page, _SCREENS[0])
        found.append(_memory(devtools))
        if tenth in (0, _TENTHS - 1):
            code.append(_compiled(devtools))
    stream.close()
    visits.close()
    first, last = found[0], found[-1]
    for name, most in (("heap", _MAX_HEAP), ("nodes", _MAX_OBJECTS), ("listeners", _MAX_OBJECTS)):
        times = last[name] / first[name]
        now = f"{last[name] / 1e6:.2f} MB" if name == "heap" else f"{last[name]:,.0f}"
        yield Line(
            f"{name} of a page after {events:,} events and {changes} screens",
            now,
            f"{times:.3f} times that after a tenth of them",
            f"≤ {most:g} times",
            times <= most,
            Ratio(times),
        )
    times = (last["heap"] - code[-1]) / (first["heap"] - code[0])
    yield Line("… of the heap, what is not code that V8 compiled", "", f"{times:.3f} times that after a tenth of them")


def _finish_a_request(service: Service) -> dict[str, Any]:
    """Return a finished request, as a list of the API has it."""
    caller = load.Caller(service.port)
    caller(load.submission(service.key, width=64, height=64))
    while True:
        _, body = caller(load.request("GET", "/api/v1/requests?limit=1", service.key))
        if body["items"][0]["state"] == "succeeded":
            caller.close()
            return dict(body["items"][0])


def _life_of_a_request(finished: dict[str, Any], number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    name = {"id": f"{finished['id'][:-8]}{number:08d}"}
    unfinished = {"finished_at": None, "thumbnails": [], "expires_at": None}
    yield "request", finished | name | unfinished | {"state": "queued", "position": 1, "started_at": None}
    for done in range(1, _EVENTS_OF_A_REQUEST - 1):
        progress = {"done": done, "total": _EVENTS_OF_A_REQUEST}
        yield "request", finished | name | unfinished | {"state": "running", "progress": progress}
    yield "request", finished | name | {"thumbnails": []}


def _show(page: Page, screen: str) -> None:
    page.evaluate("(hash) => { location.hash = hash; }", screen)
    page.clock.run_for(_SCREEN_MS)
    page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')", polling=50)


def _memory(devtools: CDPSession) -> dict[str, float]:
    for _ in range(2):  # what finalizers free, too
        devtools.send("HeapProfiler.collectGarbage")
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return {_METRICS[each["name"]]: each["value"] for each in metrics if each["name"] in _METRICS}


def _compiled(devtools: CDPSession) -> int:
    """Bytes of code and what belongs to it in the heap: V8 compiles functions as they are called more often."""
    chunks: list[str] = []

    def take(event: dict[str, str]) -> None:
        chunks.append(event["chunk"])

    devtools.on("HeapProfiler.addHeapSnapshotChunk", take)
    devtools.send("HeapProfiler.takeHeapSnapshot")
    devtools.remove_listener("HeapProfiler.addHeapSnapshotChunk", take)
    found = json.loads("".join(chunks))
    meta, nodes = found["snapshot"]["meta"], found["nodes"]
    fields = meta["node_fields"]
    kinds = nodes[fields.index("type") :: len(fields)]
    sizes = nodes[fields.index("self_size") :: len(fields)]
    is_code = meta["node_types"][0].index("code")
    return sum(size for kind, size in zip(kinds, sizes, strict=True) if kind == is_code)
