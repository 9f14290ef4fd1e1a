"""The keyboard is enough."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browsers.accounts import Account
from tests.support.browsers.visits import Visits
from tests.support.service import Service
from tests.web.test_generate import APPLE, expect_image

_MAX_STOPS = 120
_UNMARKED = """() => {
  const stop = document.activeElement;
  for (let at = stop; at && stop !== document.body; at = at.parentElement) {
    if (getComputedStyle(at).outlineStyle !== "none") return null;
  }
  return stop === document.body ? null : stop.outerHTML;
}"""


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until it has the focus, as a person would, and see that each stop on the way shows the focus."""
    expect(target).to_be_visible()
    for _ in range(_MAX_STOPS):
        if target.evaluate("target => target === document.activeElement"):
            return
        page.keyboard.press("Tab")
        unmarked = page.evaluate(_UNMARKED)
        assert unmarked is None, f"The focus cannot be seen at {unmarked}"
    pytest.fail(f"Tab does not reach {target}.")


def test_a_walk_without_a_mouse(visits: Visits, service: Service, account: Account) -> None:
    """Sign in, type, submit, follow, look at the image, generate again, open the history, sign out."""
    page = visits.open(service.url)
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(account.key)
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Prompt"))
    page.keyboard.type(APPLE)
    for label in ("Width", "Height"):
        tab_to(page, page.get_by_label(label, exact=True))
        page.keyboard.press("Control+A")
        page.keyboard.type("64")
    page.keyboard.press("Control+Enter")
    expect_image(page, APPLE)

    tab_to(page, page.get_by_role("button", name="Show image 1 large"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Image viewer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Show image 1 large")).to_be_focused()

    before = page.url
    tab_to(page, page.get_by_role("button", name="Again"))
    page.keyboard.press("Enter")
    page.wait_for_function("before => location.href !== before", arg=before)
    expect_image(page, APPLE)
    tab_to(page, page.get_by_role("navigation", name="Pages").get_by_role("link", name="History"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").get_by_role("link", name=APPLE)).to_have_count(2)
    tab_to(page, page.get_by_role("button", name="Sign out"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_content_is_one_step_away(visits: Visits, service: Service, account: Account) -> None:
    """The first stop skips the navigation."""
    page = visits.open(service.url, "/ui/#/history", key=account.key)
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("main")).to_be_focused()
