"""Every screen of the page in its states, on sheets to look at: `make screenshots`.

States: empty (a new user), busy (requests that wait, run, have ended and have failed), broken (the service has gone).
"""

import itertools
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.browsers.accounts import Account, add_account
from tests.support.browsers.visits import NARROW, WIDE, Scheme, Visits, launch
from tests.support.service import Service
from tests.web.scenes import EVERY_SCOPE, SCREENS, addresses, finish_some, start_some

BROKEN = ("generate", "request", "history", "operate")
LOOKS: tuple[tuple[Scheme, int], ...] = tuple(itertools.product(("light", "dark"), (WIDE, NARROW)))
_SETTLE_MS = 700
"""Time for what fades in, and for images."""
_LOST_MS = 60_000
_GAP, _SCALE, _MAX_HEIGHT, _COLUMNS = 16, 0.5, 1600, {WIDE: 4, NARROW: 8}


def main(folder: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # as in tests: the server that forks engines must have one thread
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        browser = launch(playwright)
        with Service(Path(data), settings={"model": "demo"}) as service:
            service.wait_for_worker()
            empty, busy = add_account(service, *EVERY_SCOPE), add_account(service, *EVERY_SCOPE)
            _take_all(browser, service, empty, {}, folder / "empty")
            ids = finish_some(service, busy)
            with service.paused():
                ids |= start_some(service, busy)
                _take_all(browser, service, busy, ids, folder / "busy")
            _take_broken(browser, service, busy, ids, folder / "broken")
        browser.close()
    for sheet in sorted(folder.glob("*.png")):
        print(sheet)  # noqa: T201 - for the person who looks at them


def _take_all(browser: Browser, service: Service, account: Account, ids: Mapping[str, str], folder: Path) -> None:
    """Every screen whose address needs no other ids than these, and the login."""
    for scheme, width in LOOKS:
        visits = Visits(browser)
        page = visits.open(service.url, scheme=scheme, width=width)
        shots = [_shoot(page, folder, f"login-{scheme}-{width}")]
        page = visits.open(service.url, key=account.key, scheme=scheme, width=width)
        for name, address in addresses(ids):
            page.goto(f"{service.url}{address}")
            shots.append(_shoot(page, folder, f"{name}-{scheme}-{width}"))
        visits.close()
        _make_sheet(shots, folder.with_name(f"{folder.name}-{scheme}-{width}.png"), width)


def _take_broken(browser: Browser, service: Service, account: Account, ids: Mapping[str, str], folder: Path) -> None:
    """Pages whose service stops while they are open."""
    visits = Visits(browser)
    pages = {
        (scheme, width, name): visits.open(
            service.url, f"/ui/{SCREENS[name].format_map(ids)}", key=account.key, scheme=scheme, width=width
        )
        for scheme, width in LOOKS
        for name in BROKEN
    }
    service.kill()
    for look in LOOKS:
        shots = []
        for name in BROKEN:
            page = pages[*look, name]
            page.get_by_role("status").filter(has_text="lost").first.wait_for(timeout=_LOST_MS)
            shots.append(_shoot(page, folder, f"{name}-{look[0]}-{look[1]}"))
        _make_sheet(shots, folder.with_name(f"broken-{look[0]}-{look[1]}.png"), look[1])
    visits.close()


def _shoot(page: Page, folder: Path, name: str) -> Path:
    page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')")
    page.wait_for_timeout(_SETTLE_MS)
    path = folder / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path


def _make_sheet(shots: list[Path], path: Path, width: int) -> None:
    """All on one image, scaled down, in rows."""
    images: list[Image.Image] = []
    for shot in shots:
        with Image.open(shot) as image:
            part = image.convert("RGB").crop((0, 0, image.width, min(image.height, _MAX_HEIGHT)))
            images.append(part.resize((int(part.width * _SCALE), int(part.height * _SCALE)), Image.Resampling.LANCZOS))
    columns = _COLUMNS[width]
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    across = int(width * _SCALE) + _GAP
    sheet = Image.new("RGB", (columns * across + _GAP, sum(_height(row) for row in rows) + _GAP), "gray")
    top = _GAP
    for row in rows:
        for number, part in enumerate(row):
            sheet.paste(part, (_GAP + number * across, top))
        top += _height(row)
    sheet.save(path)


def _height(row: list[Image.Image]) -> int:
    return max(image.height for image in row) + _GAP


if __name__ == "__main__":
    main(Path(sys.argv[1]))
