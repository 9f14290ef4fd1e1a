"""What people do with their images."""

import io
import json
import re
import zipfile
from urllib.request import Request, urlopen

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect

from pipelet.services.examples.inputs import EDIT_PROMPT
from tests.support.browsers.accounts import Account
from tests.support.browsers.visits import Visits
from tests.support.images import encoded, new_image
from tests.support.service import Service

PROMPT = "a red apple on a light blue background"
SUBMITTED = re.compile(r"#/\?request=([0-9a-z]{20})$")


@pytest.fixture
def page(visits: Visits, service: Service, account: Account) -> Page:
    """The first page, of a new user."""
    page = visits.open(service.url, key=account.key)
    expect(page.get_by_role("heading", name="Your images appear here")).to_be_visible()
    return page


def fill(
    page: Page, prompt: str = PROMPT, *, width: int = 64, height: int = 64, images: int = 1, seed: str = ""
) -> None:
    page.get_by_label("Prompt").fill(prompt)
    for label, value in {"Width": width, "Height": height, "Images": images, "Seed": seed}.items():
        page.get_by_label(label, exact=True).fill(str(value))


def generate(page: Page, prompt: str = PROMPT, **options: int | str) -> str:
    """Fill the form, submit it, and return the id of the request."""
    before = page.url
    fill(page, prompt, **options)  # type: ignore[arg-type]
    page.get_by_label("Prompt").press("Control+Enter")
    page.wait_for_function("before => location.href !== before", arg=before)
    found = SUBMITTED.search(page.url)
    assert found, page.url
    return found[1]


def result(page: Page) -> Locator:
    return page.get_by_role("article", name="Request")


def images(page: Page) -> Locator:
    return result(page).get_by_role("button", name=re.compile("Show image")).get_by_role("img")


def expect_images(page: Page, count: int) -> None:
    """They are there, and decoded."""
    expect(images(page)).to_have_count(count)
    for number in range(count):
        expect(images(page).nth(number)).to_have_js_property("complete", True)
        assert images(page).nth(number).evaluate("image => image.naturalWidth") > 0


def detail(service: Service, account: Account, request_id: str) -> dict:
    call = Request(f"{service.url}/api/v1/requests/{request_id}", headers={"Authorization": f"Bearer {account.key}"})
    with urlopen(call) as response:
        return json.load(response)


def test_presets_and_swap_set_the_size(page: Page) -> None:
    """The size that is set shows which preset it is."""
    wide = page.get_by_role("button", name=re.compile("Wide"))
    wide.click()
    width, height = (page.get_by_label(name, exact=True) for name in ("Width", "Height"))
    before = width.input_value(), height.input_value()

    expect(wide).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Swap width and height").click()
    assert before == (height.input_value(), width.input_value())
    expect(page.get_by_role("button", name=re.compile("Tall"))).to_have_attribute("aria-pressed", "true")


def test_images_are_previewed_while_they_are_made(page: Page) -> None:
    """A request that runs shows what becomes of it; a person who does not like that stops it, and it ends at once."""
    fill(page, images=8)
    page.get_by_text("Advanced").click()
    page.get_by_label("Steps").fill("100")
    page.get_by_role("button", name="Generate").click()
    preview = result(page).get_by_role("img", name="Preview of image")

    expect(preview.first).to_have_js_property("complete", True)
    assert preview.first.evaluate("image => image.naturalWidth") > 0
    result(page).get_by_role("button", name="Cancel").click()
    expect(result(page)).to_contain_text("Cancelled")
    expect(preview).to_have_count(0)


def test_an_image_is_shown_large(page: Page) -> None:
    """Arrow keys lead through the images of the request, Esc leads back to where one was."""
    generate(page, images=3)
    expect_images(page, 3)
    opener = page.get_by_role("button", name="Show image 1 large")
    opener.click()
    viewer = page.get_by_role("dialog", name="Image viewer")

    expect(viewer.get_by_role("status")).to_contain_text("Image 1 of 3")
    page.keyboard.press("ArrowLeft")
    expect(viewer.get_by_role("status")).to_contain_text("Image 3 of 3")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(viewer.get_by_role("status")).to_contain_text("Image 2 of 3")
    page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)
    expect(opener).to_be_focused()


def test_images_are_downloaded(page: Page) -> None:
    """One as the file that the model made, with its metadata; all of a request as an archive."""
    generate(page, images=2)
    expect_images(page, 2)
    with page.expect_download() as one:
        result(page).get_by_role("link", name="Download", exact=True).first.click()
    with Image.open(one.value.path()) as image:
        assert (64, 64) == image.size
        assert PROMPT in json.dumps({**image.info}, default=str)

    with page.expect_download() as archive:
        result(page).get_by_role("link", name="Download all").click()
    with zipfile.ZipFile(io.BytesIO(archive.value.path().read_bytes())) as found:
        assert 2 == len([name for name in found.namelist() if name.endswith(".png")])


def test_a_request_is_copied_as_code(page: Page) -> None:
    """For each language, with its input and without a key."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    generate(page, seed="7")
    expect_images(page, 1)
    page.get_by_role("button", name="Code").click()
    dialog = page.get_by_role("dialog", name="This request as code")
    for language in ("curl", "Python", "JavaScript", "OpenAI"):
        dialog.get_by_role("button", name=language, exact=True).click()
        dialog.get_by_role("button", name=f"Copy {language}").click()
        expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert PROMPT in copied
        assert "PIPELET_API_KEY" in copied
        assert "pipelet_" not in copied
        assert "guidance" not in copied  # the default


def test_a_result_becomes_the_input_of_an_edit(page: Page, service: Service, account: Account) -> None:
    """Without a detour over the disk; the edit keeps the size of its image."""
    generate(page, width=96)
    expect_images(page, 1)
    page.get_by_role("button", name="Use as input").click()

    expect(page.get_by_label("App")).to_have_value("z-image-image-edit")
    inputs = page.get_by_role("list", name="Input images").get_by_role("listitem")
    expect(inputs).to_have_count(1)
    page.get_by_label("Prompt").fill("a green apple on a light blue background")
    before = page.url
    page.get_by_role("button", name="Generate").click()
    page.wait_for_function("before => location.href !== before", arg=before)
    request_id = SUBMITTED.search(page.url)[1]  # type: ignore[index]
    expect_images(page, 1)
    made = detail(service, account, request_id)
    assert ("z-image-image-edit", 96, 64, 1) == (made["app"], made["width"], made["height"], len(made["input_images"]))


def test_a_deleted_request_is_gone(page: Page, visits: Visits) -> None:
    """After a question; its address says so from then on."""
    visits.faults.allow("404 GET /api/v1/requests/")
    request_id = generate(page)
    expect_images(page, 1)
    page.get_by_role("link", name=request_id).click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("#/history"))

    page.go_back()

    expect(page.get_by_role("heading", name="This request is not here")).to_be_visible()


@pytest.fixture
def edit(page: Page) -> Page:
    """The form of the app that takes images, up to three of them."""
    page.goto(page.url.partition("#")[0] + "#/?app=z-image-image-edit")
    page.reload()
    expect(page.get_by_label("App")).to_have_value("z-image-image-edit")
    return page


def test_the_example_of_an_edit_has_its_images(edit: Page, service: Service, account: Account) -> None:
    """One click fills the form with the sentence and three images, and a second one generates from them."""
    edit.get_by_role("button", name="The girl from first image").click()
    expect(edit.get_by_role("list", name="Input images").get_by_role("listitem")).to_have_count(3)
    before = edit.url
    edit.get_by_role("button", name="Generate").click()
    edit.wait_for_url(lambda url: url != before and "request=" in url)

    expect_images(edit, 1)
    made = detail(service, account, edit.url.partition("request=")[2])
    assert (EDIT_PROMPT, 3) == (made["input"]["prompt"], len(made["input_images"]))


def files(*colours: str) -> list[FilePayload]:
    return [
        {"name": f"{colour}.png", "mimeType": "image/png", "buffer": encoded(new_image((64, 48), colour))}
        for colour in colours
    ]


def test_images_are_added_and_ordered(edit: Page) -> None:
    """Chosen, dropped or pasted; arrow keys move one, which keeps the focus, and Delete removes it."""
    inputs = edit.get_by_role("list", name="Input images").get_by_role("listitem")
    edit.get_by_label("Choose, drop or paste an image").set_input_files(files("red"))
    expect(inputs).to_have_count(1)
    for count, (event, colour) in enumerate((("drop", "green"), ("paste", "blue")), 2):
        [file] = files(colour)
        edit.evaluate(
            """([type, name, bytes]) => {
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
              const options = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
              const event = type === "drop" ? new DragEvent(type, options) : new ClipboardEvent(type, options);
              document.querySelector(".drop").dispatchEvent(event);
            }""",
            [event, file["name"], list(file["buffer"])],
        )
        expect(inputs).to_have_count(count)
    before = [each.get_attribute("src") for each in inputs.get_by_role("presentation").all()]
    inputs.first.focus()
    edit.keyboard.press("ArrowRight")
    edit.keyboard.press("ArrowRight")

    expect(inputs.nth(2)).to_be_focused()
    after = [each.get_attribute("src") for each in inputs.get_by_role("presentation").all()]
    assert [*before[1:], before[0]] == after
    edit.keyboard.press("Delete")
    expect(inputs).to_have_count(2)


def test_what_is_no_image_is_refused_with_the_reason(edit: Page, visits: Visits) -> None:
    """The service decides by the bytes."""
    visits.faults.allow("4(15|22) POST /api/v1/uploads")
    text: FilePayload = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no image"}
    edit.get_by_label("Choose, drop or paste an image").set_input_files([text])

    expect(edit.get_by_role("alert")).to_contain_text("notes.png")
    expect(edit.get_by_role("list", name="Input images")).to_have_count(0)
