"""The history and the usage of a user, as they use them in a browser."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browsers.accessibility import violations
from tests.support.browsers.accounts import Account, add_account
from tests.support.browsers.visits import NARROW, WIDE, Visits
from tests.support.jobs import APP
from tests.support.service import Service
from tests.support.waiting import eventually

APPLE, LEMON = "a red apple on a light blue background", "a lemon on a blue background"
HISTORY = "/ui/#/history"


def submit(
    service: Service, account: Account, prompt: str = APPLE, *, headers: dict[str, str] | None = None, **fields: int
) -> str:
    """Through the queue, which takes headers."""
    body = json.dumps({"prompt": prompt, "width": 64, "height": 64, **fields}).encode()
    sent = {"Authorization": f"Bearer {account.key}", "Content-Type": "application/json", **(headers or {})}
    with urlopen(Request(f"{service.url}/fal/queue/{APP}", body, sent)) as response:
        return str(json.load(response)["request_id"])


def read(service: Service, account: Account, path: str) -> Any:
    code, body = service.call("GET", f"/api/v1/{path}", key=account.key)
    assert code == 200, body
    return body


def finish(service: Service, account: Account, *prompts: str, **options: Any) -> list[str]:
    """Submit, and wait for the images. Returns the ids, newest first."""
    made = [submit(service, account, prompt, **options) for prompt in prompts]
    for each in made:
        eventually(lambda: read(service, account, f"requests/{each}")["state"] == "succeeded")  # noqa: B023
    return made[::-1]


@pytest.fixture
def paused(service: Service) -> Iterator[None]:
    """What is submitted waits, behind one that has begun."""
    with service.paused():
        yield
    stop_all(service)


def stop_all(service: Service) -> None:
    """So that the next test finds the worker free."""
    count = service.call("GET", "/api/v1/requests/count?user=*")[1]["count"]
    body = {"filter": {"user": "*"}, "expect": count, "in_progress": True}
    assert 200 == service.call("POST", "/api/v1/requests/cancel", body)[0]
    eventually(lambda: service.call("GET", "/api/v1/requests/count?user=*&state=running")[1]["count"] == 0)


def items(page: Page) -> Locator:
    return page.locator("[data-key]")


def card(page: Page, request_id: str) -> Locator:
    return page.locator(f"[data-key='{request_id}']")


def select(page: Page, request_id: str, *, shift: bool = False) -> None:
    card(page, request_id).get_by_role("checkbox").click(modifiers=["Shift"] if shift else [], force=True)


def selection(page: Page) -> Locator:
    return page.get_by_role("region", name="Selection")


def confirm(page: Page, name: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=name).click()


def test_requests_are_shown_with_their_images(visits: Visits, service: Service, account: Account) -> None:
    """Each with its prompt, its thumbnail and the time that is left; as a grid or a list, which the address keeps."""
    lemon, apple = finish(service, account, APPLE, LEMON)
    private = finish(service, account, "a secret lemon", headers={"X-Fal-Store-IO": "0"})[0]
    page = visits.open(service.url, HISTORY, key=account.key)

    expect(items(page)).to_have_count(3)
    expect(card(page, apple).locator("img")).to_have_js_property("naturalWidth", 64)
    expect(card(page, apple)).to_contain_text("6 days left")
    expect(card(page, private)).to_contain_text("Prompt not kept")
    page.get_by_role("button", name="List").click()
    page.reload()
    expect(page.get_by_role("row").nth(1)).to_contain_text("Prompt not kept")
    expect(page).to_have_url(re.compile("view=list"))
    page.get_by_role("link", name=LEMON).click()
    expect(page).to_have_url(re.compile(f"#/requests/{lemon}$"))


def test_a_kept_request_does_not_expire(visits: Visits, service: Service, account: Account) -> None:
    """The star keeps it from retention, and lets it go again."""
    [apple] = finish(service, account, APPLE)
    page = visits.open(service.url, HISTORY, key=account.key)
    star = card(page, apple).get_by_role("button", name="Keep")

    star.click()

    expect(star).to_have_attribute("aria-pressed", "true")
    expect(card(page, apple)).not_to_contain_text("days left")
    assert read(service, account, f"requests/{apple}")["kept"]
    star.click()
    expect(card(page, apple)).to_contain_text("6 days left")


def test_filters_are_in_the_address(visits: Visits, service: Service, account: Account, paused: None) -> None:
    """Search, state and time narrow the list, stay after a reload, and say so where nothing matches."""
    del paused
    apple, lemon = submit(service, account, APPLE), submit(service, account, LEMON)
    page = visits.open(service.url, HISTORY, key=account.key)
    expect(items(page)).to_have_count(2)

    page.get_by_label("Search prompts").fill("LEMON")
    expect(items(page)).to_have_count(1)
    expect(card(page, lemon)).to_be_visible()
    page.get_by_label("Time").select_option("Last hour")
    expect(page).to_have_url(re.compile("q=LEMON&time=1h"))
    page.reload()
    expect(items(page)).to_have_count(1)
    page.get_by_label("State").select_option("Failed")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.get_by_label("Search prompts")).to_have_value("")
    expect(card(page, apple)).to_be_visible()


def test_the_list_is_live(visits: Visits, service: Service, account: Account, paused: None) -> None:
    """What is submitted elsewhere appears, with its position and estimate; what ends leaves a list of what waits."""
    del paused
    page = visits.open(service.url, f"{HISTORY}?state=queued", key=account.key)
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()

    first = submit(service, account)
    second = submit(service, account, LEMON, batch_size=16, width=1024)

    expect(card(page, second)).to_contain_text(re.compile(r"\d+ requests? ahead|Next in the queue"))
    expect(card(page, second)).to_contain_text(re.compile("about .* left"))
    service.call("POST", "/api/v1/requests/cancel", {"ids": [second]}, key=account.key)
    expect(card(page, second)).to_have_count(0)
    page.get_by_label("State").select_option("All states")
    expect(card(page, second)).to_contain_text("by you")
    service.call("POST", "/api/v1/requests/delete", {"ids": [second]}, key=account.key)
    expect(card(page, second)).to_have_count(0)
    expect(card(page, first)).to_be_visible()


def test_selection_by_mouse_and_keyboard(visits: Visits, service: Service, account: Account, paused: None) -> None:
    """Shift selects a range with both; Space, Ctrl+A, Esc and arrows do what they do elsewhere."""
    del paused
    ids = [submit(service, account, f"a lemon {number}") for number in range(4)][::-1]
    page = visits.open(service.url, HISTORY, key=account.key)

    select(page, ids[0])
    select(page, ids[2], shift=True)
    expect(selection(page)).to_contain_text("3 selected")
    card(page, ids[0]).get_by_role("link").focus()
    page.keyboard.press("Escape")
    expect(selection(page)).to_have_count(0)
    card(page, ids[0]).get_by_role("link").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    expect(selection(page)).to_contain_text("2 selected")
    expect(card(page, ids[1]).get_by_role("link")).to_be_focused()
    page.keyboard.press("Control+a")
    expect(selection(page)).to_contain_text("4 selected")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('[data-key]') === null"), "Tab leaves the list"


def test_many_requests_are_deleted_at_once(visits: Visits, service: Service, account: Account, paused: None) -> None:
    """The question says what happens to how many; running ones are left; the keyboard alone does it, too."""
    del paused
    ids = [submit(service, account, f"a lemon {number}") for number in range(4)][::-1]
    eventually(lambda: read(service, account, "requests/count")["by_state"]["running"] == 1)
    page = visits.open(service.url, HISTORY, key=account.key)
    card(page, ids[0]).get_by_role("link").focus()

    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    dialog = page.get_by_role("dialog", name="Delete 3 requests?")
    expect(dialog).to_contain_text("3 requests in the queue are cancelled first.")
    expect(dialog).to_contain_text("1 running: stays as it is.")
    confirm(page, "Delete 3")

    expect(page.get_by_text("3 requests deleted. 1 was left as it is.")).to_be_visible()
    expect(items(page)).to_have_count(1)
    assert read(service, account, "requests/count")["count"] == 1


def test_all_that_match_are_what_was_shown(visits: Visits, service: Service, account: Account, paused: None) -> None:
    """Older ones are behind a button; an action on all of them is refused, and explained, when the list has changed."""
    del paused
    visits.faults.allow("409 POST /api/v1/requests/cancel")
    ids = [submit(service, account, f"a lemon {number}") for number in range(53)][::-1]
    page = visits.open(service.url, f"{HISTORY}?state=queued", key=account.key)
    expect(items(page)).to_have_count(50)
    card(page, ids[0]).get_by_role("link").focus()
    page.keyboard.press("Control+a")
    page.get_by_role("button", name="Select all that match").click()
    expect(selection(page)).to_contain_text(re.compile("5[23] selected"))

    selection(page).get_by_role("button", name="Cancel").click()
    service.call("POST", "/api/v1/requests/cancel", {"ids": ids[:1]}, key=account.key)
    confirm(page, "Cancel 5")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile("the list has changed: 5[23] matched before, 5[12] match now"))
    page.get_by_role("dialog").get_by_role("button", name="Cancel", exact=True).click()

    page.get_by_role("button", name="Older").click()
    expect(page.get_by_role("button", name="Older")).to_have_count(0)
    selection(page).get_by_role("button", name="Clear").click()
    select(page, ids[1])
    select(page, ids[50], shift=True)
    selection(page).get_by_role("button", name="Cancel").click()
    confirm(page, "Cancel 50")
    expect(page.get_by_text("50 requests cancelled.")).to_be_visible()
    assert read(service, account, "requests/count")["by_state"]["cancelled"] == 51


def test_a_selection_is_one_download(visits: Visits, service: Service, account: Account) -> None:
    """The images of all that are selected come in one file."""
    ids = finish(service, account, APPLE, LEMON)
    page = visits.open(service.url, HISTORY, key=account.key)
    for each in ids:
        select(page, each)

    with page.expect_download() as download:
        selection(page).get_by_role("link", name="Download").click()

    with zipfile.ZipFile(download.value.path()) as archive:
        assert set(ids) == {Path(name).parts[0] for name in archive.namelist()}


def test_a_failure_says_what_helps(visits: Visits, service: Service, account: Account, paused: None) -> None:
    """Its kind and its reason in the service's words, with the act that fits."""
    del paused
    submit(service, account)
    late = submit(service, account, LEMON, headers={"X-Fal-Request-Timeout": "1"})
    page = visits.open(service.url, f"{HISTORY}?state=failed", key=account.key)

    expect(card(page, late)).to_contain_text("request_timeout")
    card(page, late).get_by_role("button", name="Retry").click()

    expect(page.get_by_text("Queued again, as a new request.")).to_be_visible()
    expect(card(page, late).get_by_role("link", name="Queued again")).to_be_visible()
    page.get_by_label("State").select_option("Queued")
    expect(page.get_by_role("link", name=LEMON)).to_be_visible()


def test_a_page_that_comes_back_is_as_it_was(visits: Visits, service: Service, account: Account, paused: None) -> None:
    """From a request, back leads to the same filters and to the place of that request."""
    del paused
    ids = [submit(service, account, f"a lemon {number}") for number in range(30)]
    page = visits.open(service.url, f"{HISTORY}?q=lemon", key=account.key)
    card(page, ids[0]).get_by_role("link").click()
    expect(page.get_by_role("heading", name="Facts")).to_be_visible()

    page.go_back()

    expect(card(page, ids[0])).to_be_in_viewport()
    expect(page.get_by_label("Search prompts")).to_have_value("lemon")


def test_usage_is_added_up(visits: Visits, service: Service, account: Account) -> None:
    """Own figures as a chart, a table and a file, and how much of each limit is used."""
    finish(service, account, APPLE, LEMON)
    eventually(lambda: read(service, account, "usage")["total"]["requests"] == 2)
    page = visits.open(service.url, "/ui/#/usage", key=account.key)

    expect(page.get_by_role("button", name=re.compile("^Images"))).to_contain_text("2")
    expect(page.get_by_role("figure", name="Images by day")).to_contain_text(APP)
    page.get_by_role("button", name=re.compile("^Requests")).click()
    expect(page).to_have_url(re.compile("figure=requests"))
    page.get_by_text("Show as table").click()
    expect(page.get_by_role("table", name="By day").get_by_role("row")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert ("day,app,requests,images", 2) == (lines[0][:23], len(lines))
    limits = page.get_by_role("complementary", name="Limits")
    expect(limits).to_contain_text("0 of 1,000")
    page.get_by_label("Time").select_option("Days…")
    page.get_by_label("From", exact=True).fill("2020-01-01")
    page.get_by_label("To", exact=True).fill("2020-01-31")
    expect(page.get_by_role("heading", name="No request ended in this time")).to_be_visible()


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_everybody_can_use_them(visits: Visits, service: Service, width: int, states: Account) -> None:
    """Grid with a selection, list, and usage, light and dark, with requests in each state. Nothing is wider than the
    window."""
    page = visits.open(service.url, HISTORY, key=states.key, width=width)
    items(page).first.get_by_role("link").focus()
    page.keyboard.press("Space")
    expect(selection(page)).to_be_visible()
    assert [] == violations(page)
    page.goto(f"{service.url}{HISTORY}?view=list")
    expect(page.get_by_role("table")).to_be_visible()
    assert [] == violations(page)
    page.goto(f"{service.url}/ui/#/usage")
    expect(page.get_by_role("figure")).to_be_visible()
    assert [] == violations(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.fixture(scope="module")
def states(service: Service) -> Iterator[Account]:
    """A user with a request in each state."""
    account = add_account(service)
    finish(service, account, APPLE)
    with service.paused():
        submit(service, account)
        submit(service, account, LEMON)
        cancelled = submit(service, account)
        service.call("POST", "/api/v1/requests/cancel", {"ids": [cancelled]}, key=account.key)
        failed = submit(service, account, headers={"X-Fal-Request-Timeout": "1"})
        eventually(lambda: read(service, account, f"requests/{failed}")["state"] == "failed")
        yield account
    stop_all(service)
