"""Every screen for everybody: what axe finds, in light and dark, wide and narrow, and with less motion."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsers.accessibility import violations
from tests.support.browsers.accounts import Account, add_account
from tests.support.browsers.visits import NARROW, WIDE, Visits
from tests.support.service import Service
from tests.web.scenes import EVERY_SCOPE, addresses, finish_some, start_some


@pytest.fixture(scope="module")
def busy(service: Service) -> Iterator[tuple[Account, dict[str, str]]]:
    """A user with every scope, and ids of requests that have ended, run and wait, while the engine stands still."""
    account = add_account(service, *EVERY_SCOPE)
    ids = finish_some(service, account, count=2, side=64)
    with service.paused():
        yield account, ids | start_some(service, account, side=64)


def is_settled(page: Page) -> None:
    """What is being loaded is there."""
    page.locator("main :is(h1, h2, form)").first.wait_for()
    page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')")


def expect_no_faults(found: dict[str, list[str]]) -> None:
    """By screen."""
    assert not any(found.values()), "\n".join(f"{name}: {each}" for name, faults in found.items() for each in faults)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_axe_finds_nothing(visits: Visits, service: Service, busy: tuple[Account, dict[str, str]], width: int) -> None:
    """No screen, light or dark, breaks a rule of WCAG 2.2 AA that a program can check, nor does any need a scroll to
    the side."""
    visits.faults.allow("404 GET /api/v1/requests/nothing")
    account, ids = busy
    login = visits.open(service.url, width=width)
    is_settled(login)
    found = {"login": violations(login)}
    page = visits.open(service.url, key=account.key, width=width)
    for name, address in addresses(ids):
        page.goto(f"{service.url}{address}")
        is_settled(page)
        found[name] = violations(page)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found[name].append("It is wider than the window.")

    expect_no_faults(found)


def test_new_users_see_screens_without_faults(visits: Visits, service: Service) -> None:
    """Where nothing is there yet, each screen says so, and axe finds nothing."""
    visits.faults.allow("404 GET /api/v1/requests/nothing")
    page = visits.open(service.url, key=add_account(service).key, width=NARROW)
    found = {}
    for name, address in addresses({}):
        if "operate" not in name:
            page.goto(f"{service.url}{address}")
            is_settled(page)
            found[name] = violations(page)

    expect_no_faults(found)


def test_nothing_moves_for_readers_who_want_that(
    visits: Visits, service: Service, busy: tuple[Account, dict[str, str]]
) -> None:
    """With reduced motion no animation runs, also while a request does."""
    account, ids = busy
    page = visits.open(service.url, f"/ui/#/requests/{ids['running']}", key=account.key)
    expect(page.get_by_role("article", name="Request")).to_contain_text("Generating")

    moving = page.evaluate(
        "document.getAnimations().filter(each => each.playState === 'running' && each.effect.getTiming().duration > 50)"
        ".map(each => each.animationName ?? each.transitionProperty)"
    )
    assert [] == moving


def test_the_theme_can_be_chosen(visits: Visits, service: Service, account: Account) -> None:
    """Against that of the system, and it stays after a reload."""
    page = visits.open(service.url, key=account.key)
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    for _ in range(2):  # the system's, light, dark
        page.get_by_role("button", name=re.compile("Theme")).click()

    assert light != page.evaluate(colour)
    dark = page.evaluate(colour)
    page.reload()
    expect(page.get_by_role("banner")).to_contain_text(account.user)
    assert dark == page.evaluate(colour)
