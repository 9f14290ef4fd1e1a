"""From a prompt to its images: what a person does in the page, on the demo model."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browsers.accounts import Account, add_account
from tests.support.browsers.visits import Visits
from tests.support.jobs import APP
from tests.support.service import Service

APPLE = "a red apple on a light blue background"
OWL = "an owl on a teal background"


@pytest.fixture
def page(visits: Visits, service: Service, account: Account) -> Page:
    """The playground of a new user."""
    return visits.open(service.url, key=account.key)


def fill_form(page: Page, prompt: str, *, side: int = 64, **fields: str) -> None:
    page.get_by_label("Prompt").fill(prompt)
    for label in ("Width", "Height"):
        page.get_by_label(label, exact=True).fill(str(side))
    for label, value in fields.items():
        page.get_by_label(label.capitalize(), exact=True).fill(value)


def generate(page: Page, prompt: str, **fields: str) -> str:
    """Submit a small request; return its id, which is in the address at once."""
    before = page.url
    fill_form(page, prompt, **fields)  # type: ignore[arg-type]
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url(lambda url: url != before and "request=" in url)
    return page.url.partition("request=")[2]


def result(page: Page) -> Locator:
    return page.get_by_role("article", name="Request")


def expect_image(page: Page, prompt: str, *, count: int = 1) -> None:
    """The images are there, and the browser could decode them."""
    images = result(page).get_by_role("img", name=prompt)
    expect(images).to_have_count(count)
    for image in images.all():
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0


def expect_state(page: Page, state: str) -> None:
    expect(result(page).locator(".badge")).to_have_text(state)


def test_a_prompt_becomes_images_over_a_reload(page: Page, service: Service) -> None:
    """The request has an address from the click on: a reload in between loses nothing."""
    with service.paused():
        request_id = generate(page, APPLE, images="2")
        page.reload()
        expect(result(page)).to_contain_text(request_id)

    expect_state(page, "Done")
    expect_image(page, APPLE, count=2)
    result(page).get_by_role("link", name=request_id).click()
    expect(page.get_by_role("heading", name=request_id)).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("64 × 64")


def test_a_waiting_request_is_cancelled(page: Page, service: Service, account: Account) -> None:
    """Requests in flight are told apart: one runs, the next waits with its position, and a cancel ends it at once. The
    estimate of another one follows."""
    estimate = page.locator("#estimate")
    with service.paused():
        first = generate(page, APPLE)
        expect_state(page, "Generating")
        second = generate(page, OWL)
        expect_state(page, "Queued")
        expect(estimate).to_contain_text("1 request ahead")
        result(page).get_by_role("button", name="Cancel").click()
        expect_state(page, "Cancelled")
        expect(estimate).not_to_contain_text("ahead")
        page.get_by_role("navigation", name="Recent requests").get_by_role("button", name=APPLE).click()
        expect(result(page)).to_contain_text(first)
        expect_state(page, "Generating")

    expect_state(page, "Done")
    assert "cancelled" == service.call("GET", f"/api/v1/requests/{second}", key=account.key)[1]["state"]


def test_a_result_is_repeated_and_varied(page: Page, service: Service, account: Account) -> None:
    """Again keeps the seed, Vary takes another, and Edit as new fills the form."""
    first = generate(page, APPLE, seed="7")
    expect_image(page, APPLE)
    made = []
    for act in ("Again", "Vary"):
        shown = page.url
        page.get_by_role("button", name=act).click()
        page.wait_for_url(lambda url, shown=shown: url != shown)  # type: ignore[misc]
        expect_image(page, APPLE)
        made.append(page.url.partition("request=")[2])

    seeds = [service.call("GET", f"/api/v1/requests/{each}", key=account.key)[1]["seed"] for each in (first, *made)]
    assert 7 == seeds[0] == seeds[1] != seeds[2]
    page.get_by_role("button", name="Edit as new").click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value(str(seeds[2]))
    expect(page.get_by_label("Prompt")).to_have_value(APPLE)


def test_faults_are_at_their_fields(page: Page, visits: Visits) -> None:
    """A form that cannot be submitted says what is wrong where it is, and the first faulty field has the focus."""
    page.get_by_role("button", name="Generate").click()

    prompt = page.get_by_label("Prompt")
    expect(prompt).to_be_focused()
    expect(prompt).to_have_attribute("aria-invalid", "true")
    fill_form(page, APPLE, side=100_000)
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_label("Width", exact=True)).to_be_focused()
    expect(page.get_by_label("Width", exact=True)).to_have_accessible_description(re.compile(r"\d"))


def test_requests_of_others_are_not_there(visits: Visits, service: Service, account: Account) -> None:
    """The address of another user's request says what one of an unknown or a deleted request says, and leads back."""
    visits.faults.allow("404 GET /api/v1/requests/")
    stranger = add_account(service)
    wanted = {"app": APP, "input": {"prompt": OWL, "width": 64, "height": 64}}
    code, body = service.call("POST", "/api/v1/requests", wanted, key=stranger.key)
    assert code == 200
    page = visits.open(service.url, f"/ui/#/requests/{body['id']}", key=account.key)

    expect(page.get_by_role("heading", name="This request is not here")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Open your history").click()
    expect(page).to_have_url(re.compile("#/history"))


def test_two_results_are_compared(page: Page) -> None:
    """Side by side or under a slider, with the parameters that differ."""
    first = generate(page, APPLE, seed="7")
    expect_image(page, APPLE)
    second = generate(page, OWL, seed="7")
    expect_image(page, OWL)
    page.goto(f"{page.url.partition('#')[0]}#/compare/{first}/{second}")

    expect(page.get_by_role("img", name=APPLE)).to_be_visible()
    expect(page.get_by_role("img", name=OWL)).to_be_visible()
    expect(page.get_by_role("table", name="What differs")).to_contain_text("teal")
    page.get_by_role("button", name="Slider").click()
    slider = page.get_by_role("slider")
    slider.focus()
    before = slider.input_value()
    page.keyboard.press("ArrowRight")
    assert slider.input_value() != before


def test_a_link_of_an_app_opens_its_form(visits: Visits, service: Service, account: Account) -> None:
    """What the demo model knows stands at its form, and a word of it goes into the prompt."""
    page = visits.open(service.url, key=account.key)
    page.get_by_text(re.compile("This model knows")).click()
    page.get_by_role("button", name="red apple", exact=True).click()

    expect(page.get_by_label("Prompt")).to_have_value("a red apple")
