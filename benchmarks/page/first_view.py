"""How soon a person can type, and how much a browser loads for that, with nothing in its cache."""

from collections.abc import Iterator

from playwright.sync_api import Browser
from tests.support.browsers.visits import Visits

from benchmarks.lib.service import Service
from benchmarks.lib.table import Line, Ratio, in_ms, median

_MAX_SECONDS = 1.0
_MAX_KB = 60
_NOTE_THE_FORM = """
const observer = new MutationObserver(() => {
  if (!document.querySelector("main textarea")) return;
  observer.disconnect();
  window.interactiveAt = performance.now();
});
observer.observe(document, { childList: true, subtree: true });
"""
_LOADED = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((entry) => new URL(entry.name).pathname.startsWith("/ui/"))
  .map((entry) => [entry.transferSize, entry.encodedBodySize])"""


def measure_first_view(browser: Browser, service: Service, views: int) -> Iterator[Line]:
    """Measure the first view of the form that generates, for a user who is signed in."""
    url, times, sizes = f"http://127.0.0.1:{service.port}", [], []
    for _ in range(views):
        visits = Visits(browser)
        page = visits.open(url, "/health/live", key=service.key)
        page.add_init_script(_NOTE_THE_FORM)
        page.goto(f"{url}/ui/")
        page.wait_for_function("() => window.interactiveAt")
        times.append(page.evaluate("window.interactiveAt") / 1000)
        sizes.append(page.evaluate(_LOADED))
        visits.close()
    time, files = median(times), sizes[-1]
    wire, content = (sum(column) / 1000 for column in zip(*files, strict=True))
    yield Line(
        "first view: time to the form, median",
        in_ms(time),
        f"{in_ms(max(times))} at most",
        f"≤ {_MAX_SECONDS:g} s",
        time <= _MAX_SECONDS,
        Ratio(time / _MAX_SECONDS),
    )
    yield Line(
        "first view: over the wire, compressed",
        f"{wire:.1f} kB",
        f"{content:.1f} kB of content in {len(files)} files, and their headers",
        f"≤ {_MAX_KB} kB",
        wire <= _MAX_KB,
        Ratio(wire / _MAX_KB),
    )
