"""`python -m benchmarks.page`: in real Chromium, on a real service."""

from typing import Literal

import cyclopts
from playwright.sync_api import sync_playwright
from tests.support.browsers.visits import launch

from benchmarks.lib.service import scratch, serving
from benchmarks.lib.table import Line, load_now, show
from benchmarks.page.first_view import measure_first_view
from benchmarks.page.memory import measure_memory
from benchmarks.page.watchers import measure_overview, measure_submits

_BACKEND = "benchmarks.lib.backends:StampedGradient"


def main(
    *,
    views: int = 10,
    pages: int = 20,
    submits: int = 400,
    turns: int = 4,
    watchers: int = 50,
    seconds: float = 10.0,
    events: int = 20_000,
    changes: int = 500,
    only: Literal["view", "memory", "submits", "overview"] | None = None,
) -> None:
    """
    Parameters
    ----------
    views
        How often the page is loaded with a cold cache.
    pages
        Pages that are open next to submits, one in ten of them at the overview.
    submits
        Submits that are measured next to the pages, and as many without.
    turns
        How often the pages are opened and closed again.
    watchers
        Streams of the overview that are compared with one.
    seconds
        How long the overview changes, for each of the two.
    events
        Events of the stream that one page takes, a tenth of them the end of a request.
    changes
        How often that page shows another screen.
    only
        Measure one part.
    """
    before = load_now()
    with scratch() as folder, serving(folder / "queue", workers=0) as queue:
        at_the_service = list[Line]()
        if only in (None, "overview"):
            at_the_service = measure_overview(queue, watchers=watchers, seconds=seconds)
        with sync_playwright() as playwright, serving(folder / "data", backend=_BACKEND) as service:
            browser = launch(playwright)
            lines = list[Line]()
            if only in (None, "view"):
                lines += measure_first_view(browser, service, views)
            if only in (None, "memory"):
                lines += measure_memory(browser, service, events=events, changes=changes)
            if only in (None, "submits"):
                lines += measure_submits(browser, queue, pages=pages, submits=submits, turns=turns)
            lines += at_the_service
            browser.close()
    show("the page in Chromium, SQLite", lines, load=before)


if __name__ == "__main__":
    cyclopts.run(main)
