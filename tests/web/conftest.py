"""The page in a real browser, on a real service.

Playwright keeps an event loop in the thread of the tests: they are synchronous here, and the browser ends with the last
of them, before other tests of the same process.
"""

import re
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browsers.accounts import Account, add_account
from tests.support.browsers.visits import Visits, launch
from tests.support.service import Service


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """It generates with the demo model. Tests share it, each with a user of its own, and leave it running."""
    with Service(tmp_path_factory.mktemp("web"), settings={"model": "demo"}) as service:
        service.wait_for_worker(within=180)  # on a busy machine the import of torch alone has taken a minute
        yield service


@pytest.fixture
def visits(browser: Browser) -> Iterator[Visits]:
    """Opens pages. A fault in any of them that the test does not allow fails it."""
    visits = Visits(browser)
    yield visits
    visits.close()


@pytest.fixture
def account(service: Service) -> Account:
    """A new user, with a key that generates."""
    return add_account(service)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Look for faults at the end of a test, and take screenshots where it has failed."""
    visits = getattr(item, "funcargs", {}).get("visits")
    try:
        result = yield
        if visits is not None:
            visits.faults.check()
    except Exception as error:
        if visits is not None:
            for path in visits.take_screenshots(re.sub(r"\W+", "-", item.name)):
                error.add_note(f"Screenshot: {path}")
        raise
    return result
