"""Who may use the page: login by key and by link, tabs, sign-out, and keys that end."""

import re
import time

from playwright.sync_api import Page, expect

from tests.support.browsers.accounts import Account, add_account
from tests.support.browsers.visits import Visits
from tests.support.service import Service

NO_LONGER_VALID = "401 (GET|POST) /api/v1/"


def fill_login(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def expect_signed_in(page: Page, user: str) -> None:
    expect(page.get_by_role("banner").get_by_text(user, exact=True)).to_be_visible()


def expect_login(page: Page, notice: str = "") -> None:
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    if notice:
        expect(page.get_by_role("status").filter(has_text=notice)).to_be_visible()


def test_a_key_signs_in_and_is_not_kept(visits: Visits, service: Service, account: Account) -> None:
    """The address of the service leads to the page; after the login no script can read the key or the cookie."""
    page = visits.open(service.url, "/")
    expect(page).to_have_url(f"{service.url}/ui/")

    fill_login(page, account.key)

    expect_signed_in(page, account.user)
    kept = page.evaluate("[document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage)].join()")
    assert account.key not in kept + page.content()
    page.reload()
    expect_signed_in(page, account.user)


def test_a_link_signs_in_once(visits: Visits, service: Service) -> None:
    """`pipelet login` prints it. The code is gone from the address, and is refused in another window."""
    link = service.run("login").stdout.strip()
    page = visits.open(link, "")

    expect_signed_in(page, "local")
    assert "code" not in page.url

    visits.faults.allow("401 POST /api/v1/session")
    other = visits.open(link, "")
    expect(other.get_by_label("API key")).to_have_accessible_description(re.compile("pipelet login"))


def test_a_wrong_key_is_refused_at_its_field(visits: Visits, service: Service, account: Account) -> None:
    """The reason is in the service's words, and a right key signs in afterwards, where the focus is on the page."""
    visits.faults.allow("401 POST /api/v1/session")
    page = visits.open(service.url, "/ui/#/usage")

    fill_login(page, f"pk_{'x' * 43}")

    field = page.get_by_label("API key")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("This key is not known here"))
    fill_login(page, account.key)
    expect_signed_in(page, account.user)
    expect(page.locator("main")).to_be_focused()


def test_tabs_sign_in_and_out_together(visits: Visits, service: Service, account: Account) -> None:
    """Tabs of one window follow the login and the sign-out of each other, without a reload. Who signs out leaves no
    address to the next user."""
    first = visits.open(service.url)
    second = first.context.new_page()
    second.goto(f"{service.url}/ui/")
    expect_login(second)

    fill_login(first, account.key)
    expect_signed_in(second, account.user)

    second.goto(f"{service.url}/ui/#/usage")
    second.get_by_role("button", name="Sign out").click()
    expect_login(second, "You are signed out.")
    expect(second).to_have_url(f"{service.url}/ui/")
    expect_login(first, "You have signed out in another tab.")


def test_a_key_that_ends_ends_its_sessions(visits: Visits, service: Service) -> None:
    """An open page says so by itself, when the key is revoked or has expired, and what was typed is not lost."""
    visits.faults.allow(NO_LONGER_VALID)
    revoked = add_account(service)
    pages = [visits.open(service.url, key=revoked.key)]
    expect_signed_in(pages[0], revoked.user)
    expiring = add_account(service, expires_at=time.time() + 10)
    pages.append(visits.open(service.url, key=expiring.key))
    expect_signed_in(pages[1], expiring.user)

    code, _ = service.call("DELETE", f"/api/v1/operate/keys/{revoked.key_id}")

    assert code == 200
    for page in pages:
        expect_login(page, "Your session has ended.")


def test_a_page_of_another_port_shares_no_session(visits: Visits, service: Service, account: Account) -> None:
    """The cookie's name carries the port, so that two services on a machine do not sign each other out."""
    page = visits.open(service.url, key=account.key)
    names = [cookie["name"] for cookie in page.context.cookies()]

    assert [f"__Host-pipelet-{service.port}"] == names
