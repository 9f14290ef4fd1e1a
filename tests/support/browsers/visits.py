"""Browser windows of tests: each with cookies of its own, watched for faults."""

from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.support.browsers import CHROMIUM, what_is_missing
from tests.support.browsers.faults import Faults
from tests.support.service import REPOSITORY

Scheme = Literal["light", "dark"]
WIDE, NARROW = 1100, 390
_HEIGHTS = {WIDE: 800, NARROW: 844}
_SECONDS = 15
"""How long a page may take for anything, on a machine with much else to do."""
_FAILURES = REPOSITORY / "build" / "browser-failures"
_SIGN_IN = """async (key) => {
  const headers = { "Content-Type": "application/json", "X-Pipelet": "1" };
  const response = await fetch("/api/v1/session", { method: "POST", headers, body: JSON.stringify({ key }) });
  localStorage.setItem("pipelet.signed-in", "1");
  return response.status;
}"""


def launch(playwright: Playwright) -> Browser:
    """Start Debian's Chromium: Playwright would look for builds of its own."""
    assert CHROMIUM is not None, what_is_missing()
    expect.set_options(timeout=_SECONDS * 1000)
    return playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root has no sandbox


class Visits:
    """Opens windows for one test, and closes them all.

    Attributes:
        faults: of all of them.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.faults = Faults()

    def open(self, url: str, path: str = "/ui/", *, key: str = "", scheme: Scheme = "light", width: int = WIDE) -> Page:
        """A page of the service at `url`, in a window of its own; signed in where there is a `key`."""
        page = self.window(scheme=scheme, width=width).new_page()
        if key:
            sign_in(page, url, key)
        page.goto(f"{url}{path}")
        return page

    def window(self, *, scheme: Scheme = "light", width: int = WIDE, reduced_motion: bool = True) -> BrowserContext:
        """A window without pages. Pages of one window share cookies."""
        context = self._browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": _HEIGHTS.get(width, 800)},
            reduced_motion="reduce" if reduced_motion else "no-preference",
            locale="en-GB",
            timezone_id="UTC",
        )
        context.set_default_timeout(_SECONDS * 1000)
        self._contexts.append(context)
        self.faults.watch(context)
        return context

    def take_screenshots(self, name: str) -> list[Path]:
        """Take screenshots of all open pages, as they are now; return their files."""
        _FAILURES.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, page in enumerate(self.faults.pages()):
            path = _FAILURES / f"{name}-{number}.png"
            page.screenshot(path=path, full_page=True)
            paths.append(path)
        return paths

    def close(self) -> None:
        for context in self._contexts:
            context.close()


def sign_in(page: Page, url: str, key: str) -> None:
    """Sign in as the page does, without its form."""
    page.goto(f"{url}/health/live")  # of the same origin, without scripts
    status = page.evaluate(_SIGN_IN, key)
    assert status == 204, status
