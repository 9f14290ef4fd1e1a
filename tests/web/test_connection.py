"""A page whose service goes and comes: it says so, and recovers by itself."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.support.browsers.accounts import Account
from tests.support.browsers.visits import Visits
from tests.support.service import Service

NO_SERVICE = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
LOST = "The connection to the service is lost."


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Service]:
    """One that a test may stop; without a worker, which no test of a connection needs."""
    with Service(tmp_path / "own", settings={"workers": "0"}) as service:
        yield service


def test_a_page_outlives_its_service(visits: Visits, own_service: Service) -> None:
    """While the service is stopped the page says that the connection is lost. Later it shows what has changed since,
    and where the service is of another version, a message leads to the new page."""
    visits.faults.allow(*NO_SERVICE)
    page = visits.open(own_service.url, key=own_service.key)
    expect(page.get_by_label("Prompt")).to_be_visible()

    own_service.stop()

    expect(page.get_by_role("status").filter(has_text=LOST)).to_be_visible()
    page.route("**/api/v1/session", _of_another_version)
    own_service.start()
    own_service.submit("a lemon after the stop")
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_text(LOST)).to_be_hidden()
    expect(page.get_by_role("article", name="Request")).to_contain_text("a lemon after the stop")
    expect(page.get_by_text("Pipelet was upgraded to 99.0.")).to_be_visible()
    page.get_by_role("button", name="Load the new page").click()
    expect(page.get_by_role("banner")).to_contain_text("local")
    page.unroute_all(behavior="wait")  # a call that it holds would fail the next test, once this window is closed


def _of_another_version(route: Route) -> None:
    response = route.fetch()
    route.fulfill(response=response, json=response.json() | {"version": "99.0"})


def test_a_page_without_a_service_waits_for_it(visits: Visits, own_service: Service) -> None:
    """What the browser has kept says that the service does not respond, and shows the page when it does."""
    visits.faults.allow(*NO_SERVICE, "503 GET /api/v1/session")
    page = visits.open(own_service.url, key=own_service.key)
    page.route("**/api/v1/session", lambda route: route.abort("connectionrefused"))
    page.reload()

    expect(page.get_by_role("heading", name="The service does not respond")).to_be_visible()

    page.unroute("**/api/v1/session")
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("banner")).to_contain_text("local")


def test_an_unknown_address_leads_back(visits: Visits, service: Service, account: Account) -> None:
    """A page that there is not says so, with links to those that there are."""
    page = visits.open(service.url, "/ui/#/nowhere", key=account.key)

    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Generate an image").click()
    expect(page).to_have_url(re.compile(r"/ui/#/$"))


def test_a_page_that_the_key_may_not_open_names_the_scope(visits: Visits, service: Service, account: Account) -> None:
    """The operator's pages are not in the navigation of other keys, and their address says what is needed."""
    page = visits.open(service.url, "/ui/#/operate", key=account.key)

    expect(page.get_by_role("heading", name="Your key may not open this page")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("observe")
    expect(page.get_by_role("navigation", name="Pages").get_by_text("Operate")).to_have_count(0)
