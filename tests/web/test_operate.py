"""The operator's desk: what it shows to whom, and what it changes, on a service that the tests share."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browsers.accounts import Account, add_account
from tests.support.browsers.visits import Visits
from tests.support.jobs import APP
from tests.support.service import Service
from tests.support.waiting import eventually

EVERY_SCOPE = ("generate", "observe", "operate", "keys", "content")
PROMPT = "a fox between two trees"


@pytest.fixture
def operator(service: Service) -> Account:
    return add_account(service, *EVERY_SCOPE)


@pytest.fixture
def open_desk(visits: Visits, service: Service, operator: Account) -> Callable[..., Page]:
    """Opens a screen of the desk, by default for an operator who may do everything."""

    def open_screen(screen: str = "", *, key: str = operator.key) -> Page:
        return visits.open(service.url, f"/ui/#/operate{screen}", key=key)

    return open_screen


@contextmanager
def paused_app(service: Service) -> Iterator[None]:
    """What is submitted inside waits."""
    assert 204 == service.call("POST", f"/api/v1/operate/apps/{APP}/pause")[0]
    try:
        yield
    finally:
        service.call("POST", f"/api/v1/operate/apps/{APP}/resume")


def submit(service: Service, account: Account, **fields: object) -> str:
    wanted = {"app": APP, "input": {"prompt": PROMPT, "width": 64, "height": 64, **fields}}
    code, body = service.call("POST", "/api/v1/requests", wanted, key=account.key)
    assert code == 200, body
    return str(body["id"])


def submit_late(service: Service, account: Account) -> str:
    """A request that fails, unless it starts at once."""
    headers = {"Authorization": f"Bearer {account.key}", "X-Fal-Request-Start-Timeout": "0.2"}
    body = json.dumps({"prompt": PROMPT}).encode()
    with urlopen(Request(f"{service.url}/fal/queue/{APP}", body, headers)) as response:
        return str(json.load(response)["request_id"])


def cancel(service: Service, account: Account, *ids: str) -> None:
    code, body = service.call("POST", "/api/v1/requests/cancel", {"ids": list(ids)}, key=account.key)
    assert (200, len(ids)) == (code, body.get("done"))


def wait_for(service: Service, request_id: str, state: str) -> None:
    eventually(lambda: service.call("GET", f"/api/v1/requests/{request_id}")[1]["state"] == state, within=60)


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def confirm(page: Page, name: str) -> None:
    dialog(page).get_by_role("button", name=name, exact=True).click()


def expect_message(page: Page, text: str) -> None:
    expect(page.locator(".toasts")).to_contain_text(text)


def test_a_visit_of_the_desk_changes_no_other_page(service: Service, open_desk: Callable[..., Page]) -> None:
    """The style sheets of a page end with it; the form says that its app is paused for as long as it is."""
    page = open_desk("/requests")
    expect(page.locator(".filters")).to_have_css("display", "grid")

    page.get_by_role("link", name="History").click()
    expect(page.locator(".filters")).to_have_css("display", "flex")
    page.get_by_role("link", name="Operate").click()
    page.get_by_role("link", name="Requests").click()
    expect(page.locator(".filters")).to_have_css("display", "grid")

    page.get_by_role("link", name="Generate").click()
    notice = page.get_by_text("This app is paused")
    with paused_app(service):
        expect(notice).to_be_visible()
    expect(notice).to_have_count(0)


def test_the_overview_follows_the_queue(open_desk: Callable[..., Page], service: Service, account: Account) -> None:
    """A paused app says so at once, a request that waits is counted by priority and user, and a resume starts it."""
    page = open_desk()
    apps = page.get_by_role("row", name=re.compile(f"^{APP} "))
    page.get_by_role("button", name=f"Pause… {APP}").click()
    expect(dialog(page)).to_contain_text("No request of it starts until you resume it")

    confirm(page, "Pause")
    expect(apps).to_contain_text("Paused")
    request_id = submit(service, account)

    expect(page.get_by_role("link", name=account.user)).to_be_visible()
    expect(apps.get_by_role("cell").first).to_have_text("1")
    apps.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("link", name=account.user)).to_have_count(0)
    wait_for(service, request_id, "succeeded")


def test_charts_say_the_same_as_tables(open_desk: Callable[..., Page]) -> None:
    """The range is in the address, and each chart has a table for readers who do not see it."""
    page = open_desk()
    page.get_by_role("button", name="7 days").click()
    expect(page).to_have_url(re.compile("range=7d"))
    chart = page.get_by_role("figure").filter(has_text="Finished per minute")

    chart.get_by_text("Show as table").click()

    expect(chart.get_by_role("columnheader", name="Time")).to_be_visible()
    expect(chart.get_by_role("row")).to_have_count(338)  # half hours, and the head


def test_all_that_match_are_retried_after_a_second_count(
    visits: Visits, open_desk: Callable[..., Page], service: Service, account: Account
) -> None:
    """The dialog names the number. If another one matches by then nothing is done, and the dialog asks again."""
    visits.faults.allow("409 POST /api/v1/requests/retry")
    with paused_app(service):
        cancel(service, account, submit(service, account), submit(service, account))
        page = open_desk(f"/requests?user={account.user}&state=cancelled")
        page.get_by_role("button", name="Retry all 2 that match…").click()
        expect(dialog(page).get_by_role("heading")).to_have_text("Retry 2 requests?")
        cancel(service, account, submit(service, account))

        confirm(page, "Retry 2")
        expect(dialog(page).get_by_role("alert")).to_contain_text("2 matched before, 3 match now")
        confirm(page, "Retry 3")

        expect_message(page, "3 requests queued again.")
        expect(page.get_by_role("row").filter(has_text="queued again")).to_have_count(3)
        expect(page.get_by_role("button", name=re.compile("^Retry"))).to_have_count(0)
        page.get_by_label("State").select_option("queued")
        expect(page.get_by_role("row")).to_have_count(4)
        page.get_by_role("button", name="Cancel all 3 that match…").click()
        confirm(page, "Cancel 3")
        expect_message(page, "3 requests cancelled.")


def test_a_request_gets_another_place(open_desk: Callable[..., Page], service: Service, account: Account) -> None:
    """To the front, and to another priority: the list shows it, and the audit trail tells who did it."""
    with paused_app(service):
        first, second = submit(service, account), submit(service, account)
        page = open_desk(f"/requests?user={account.user}&state=queued")
        rows = {each: page.get_by_role("row", name=re.compile(each[:8])) for each in (first, second)}
        expect(rows[second]).to_contain_text("position 1")

        rows[second].get_by_role("button", name=re.compile("front")).click()
        confirm(page, "Move to the front")
        expect(rows[second]).to_contain_text("position 0")
        rows[first].get_by_role("button", name=re.compile("Priority")).click()
        dialog(page).get_by_label("Priority").fill("5")
        confirm(page, "Change")

        expect_message(page, "has priority 5.")
        page.get_by_role("link", name="Audit").click()
        expect(page.get_by_role("row").filter(has_text="requests.front").filter(has_text=second)).to_be_visible()
        cancel(service, account, first, second)


def test_what_failed_is_found_by_its_kind(open_desk: Callable[..., Page], service: Service, account: Account) -> None:
    """Failures are grouped by type and message; a group leads to its requests, and those of a kind are retried."""
    with paused_app(service):
        request_id = submit_late(service, account)
        wait_for(service, request_id, "failed")
        page = open_desk("/failures")
        kind = page.get_by_role("region", name="request_timeout", exact=True)
        expect(kind.get_by_role("rowheader")).to_contain_text("Request timed out")

        kind.get_by_role("button", name="Retry").click()
        expect(dialog(page).get_by_role("heading")).to_have_text(re.compile(r"Retry \d+ requests?\?"))
        confirm(page, "Back")
        kind.get_by_role("link", name="Show requests").click()
        row = page.get_by_role("row", name=re.compile(request_id[:8]))
        row.get_by_role("button", name=re.compile("Retry")).click()
        confirm(page, "Retry 1")

        expect_message(page, "1 request queued again.")
        expect(row.get_by_role("link", name="queued again")).to_be_visible()
        expect(row.get_by_role("button", name=re.compile("Retry"))).to_have_count(0)
        page.get_by_role("link", name="Failures").click()
        expect(kind).to_contain_text("retried")
        page.goto(f"{service.url}/ui/#/operate/requests?user={account.user}&state=queued")
        expect(page.get_by_role("row")).to_have_count(2)
        page.get_by_role("button", name="Cancel the one that matches…").click()
        confirm(page, "Cancel 1")
        expect_message(page, "1 request cancelled.")


def test_a_worker_shows_its_work_and_drains(visits: Visits, tmp_path: Path) -> None:
    """While it generates, a drain can be taken back."""
    with Service(tmp_path / "own") as own_service:
        own_service.wait_for_worker()
        with own_service.paused():
            wait_for(own_service, own_service.submit(PROMPT), "running")
            page = visits.open(own_service.url, "/ui/#/operate/workers", key=own_service.key)
            worker = page.locator(".cards > li")
            expect(worker).to_contain_text("generating")

            page.get_by_role("button", name=re.compile("^Drain")).click()
            expect(dialog(page)).to_contain_text("It finishes its request")
            confirm(page, "Drain")
            expect(worker).to_contain_text("draining")
            page.get_by_role("button", name=re.compile("^Undrain")).click()
            expect(page.get_by_role("button", name=re.compile("^Drain"))).to_be_visible()
        page.close()  # else its streams may find no service before it is closed


def test_a_key_lives_from_its_creation_to_its_end(open_desk: Callable[..., Page], service: Service) -> None:
    """Its secret is shown once and works; it is found by its text, limited, rotated and revoked."""
    page = open_desk("/keys")
    page.get_by_role("button", name="New key").click()
    name = f"cy-{service.port}"
    dialog(page).get_by_label("Name").fill(name)
    confirm(page, "Create the key")
    secret = dialog(page).get_by_label("Key", exact=True).inner_text()
    assert 200 == service.call("GET", "/api/v1/session", key=secret)[0]
    confirm(page, "I have copied it")
    expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("never")
    assert secret not in page.content()

    page.get_by_role("button", name="Find a key").click()
    dialog(page).get_by_label("The key").fill(secret)
    confirm(page, "Find")
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    page.get_by_role("main").get_by_role("button", name="Change…").first.click()
    dialog(page).get_by_label("Queued images").fill("0")
    confirm(page, "Change")
    expect(dialog(page).get_by_label("Queued images")).to_have_attribute("aria-invalid", "true")
    dialog(page).get_by_label("Queued images").fill("7")
    confirm(page, "Change")
    expect_message(page, "The key is changed.")
    page.get_by_role("button", name="Rotate…").click()
    confirm(page, "Rotate")
    rotated = dialog(page).get_by_label("Key", exact=True).inner_text()
    confirm(page, "I have copied it")
    code, session = service.call("GET", "/api/v1/session", key=rotated)
    assert (200, 7) == (code, session["limits"]["max_queued_images"])

    page.get_by_role("button", name="Revoke…").click()
    expect(dialog(page)).to_contain_text("None of its requests waits")
    confirm(page, "Revoke for good")
    expect(page.get_by_role("main").locator(".badge").filter(has_text="revoked")).to_be_visible()
    page.get_by_role("button", name="Revoke…").wait_for(state="detached")


def test_screens_and_content_follow_the_scopes(
    open_desk: Callable[..., Page], service: Service, account: Account
) -> None:
    """Without `content` there is no prompt and no search; without `operate` no act; a key for keys sees these alone."""
    submit(service, account)
    address = f"/requests?user={account.user}"

    expect(open_desk(address).get_by_role("main")).to_contain_text(PROMPT)
    observer = open_desk(address, key=add_account(service, "generate", "observe").key)
    expect(observer.get_by_role("main")).to_contain_text(account.user)
    expect(observer.get_by_role("main")).to_contain_text("does not have the scope content")
    expect(observer.get_by_text(PROMPT)).to_have_count(0)
    expect(observer.get_by_label("Prompt or id")).to_have_count(0)
    expect(observer.get_by_role("button", name=re.compile("Retry|Delete|Cancel|front"))).to_have_count(0)
    expect(observer.get_by_role("link", name="Keys")).to_have_count(0)

    clerk = open_desk(key=add_account(service, "keys").key)
    expect(clerk.get_by_role("heading", name="Keys")).to_be_visible()
    expect(clerk.get_by_role("navigation", name="Screens of operators").get_by_role("link")).to_have_text(["Keys"])
    clerk.goto(f"{service.url}/ui/#/operate/audit")
    expect(clerk.get_by_role("main")).to_contain_text("It needs the scope observe")


def test_a_hidden_tab_has_no_stream(open_desk: Callable[..., Page], service: Service, account: Account) -> None:
    """It is closed while the tab is hidden, and shows what has changed when the tab is shown again."""
    page = open_desk()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    hide = (
        "Object.defineProperty(document, 'visibilityState', {{value: '{}', configurable: true}});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )

    page.evaluate(hide.format("hidden"))
    expect(page.get_by_text("Connecting", exact=True)).to_be_visible()
    with paused_app(service):
        request_id = submit(service, account)
        page.evaluate(hide.format("visible"))
        expect(page.get_by_role("link", name=account.user)).to_be_visible()
        cancel(service, account, request_id)
