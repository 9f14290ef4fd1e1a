"""Edits: images in forms as the clients send them, and in JSON."""

import asyncio
import time
from typing import Any

import httpx2
import pytest

from pipelet.domain.catalog import Catalog
from tests.api.openai.calls import EDITS, answered, called, error_of, job_of
from tests.api.service import Service, catalog_of_edits
from tests.support.images import data_uri, png

RED, BLUE = png(), png((64, 128), "blue")
FIELDS = {"prompt": "a girl at a table"}
Files = list[tuple[str, tuple[str, bytes, str]]]


@pytest.fixture
def catalog() -> Catalog:
    return catalog_of_edits(max_input_images=3)


def files(*named: tuple[str, bytes], name: str = "a.png") -> Files:
    return [(field, (name, data, "image/png")) for field, data in named]


def part(content: bytes, disposition: str) -> bytes:
    return b"--x\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


PROMPT_PART = part(b"a girl", 'name="prompt"')
IMAGE_PART = part(RED, 'name="image"; filename="a.png"')


async def send(service: Service, form: bytes, boundary: str = "x") -> httpx2.Response:
    content_type = f"multipart/form-data; boundary={boundary}"
    return await service.client.post(EDITS, content=form, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    "sent",
    [
        files(("image", RED), ("image", BLUE)),
        files(("image[]", RED), ("image[]", BLUE)),
        files(("image[0]", RED), ("image[1]", BLUE)),
        files(("image", RED), ("image[]", BLUE), name="/home/ada/images/a \u00e4\"'.png"),
        files(("image", RED), ("image[]", BLUE), name="blob"),
    ],
)
async def test_images_of_a_form_are_taken_in_their_order(service: Service, sent: Files) -> None:
    """Under each name that clients use, whatever the files are called; the first one gives the size."""
    fields = FIELDS | {"n": "2", "seed": "5", "output_format": "jpeg", "output_compression": "70", "size": "auto"}
    response = await answered(service, path=EDITS, data=fields, files=sent, json=None)
    spec = (await job_of(service, response)).spec

    assert [(96, 64), (64, 128)] == [(each.width, each.height) for each in spec.input_images]
    assert (96, 64, 2, 5, 70) == (spec.width, spec.height, spec.batch_size, spec.seed, spec.output_quality)
    assert ("96x64", 2) == (response.json()["size"], len(response.json()["data"]))


@pytest.mark.parametrize(
    "images",
    [
        {"images": [{"image_url": data_uri(RED)}, {"image_url": {"url": data_uri(BLUE)}}]},
        {"image": [data_uri(RED), data_uri(BLUE)]},
        {"image_urls": [data_uri(RED), data_uri(BLUE)]},
    ],
)
async def test_images_in_json(service: Service, images: dict[str, Any]) -> None:
    """As OpenAI names them, or as a list of URLs."""
    response = await answered(service, FIELDS | images | {"size": "80x72"}, path=EDITS)
    spec = (await job_of(service, response)).spec

    assert [(96, 64), (64, 128)] == [(each.width, each.height) for each in spec.input_images]
    assert "80x72" == str(spec.size)


async def test_urls_in_a_form(service: Service) -> None:
    """In parts without a file name, as SGLang takes them."""
    form = PROMPT_PART + part(data_uri(RED).encode(), 'name="url[]"') + b"--x--\r\n"
    call = await called(
        service, path=EDITS, content=form, json=None, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    [item] = (await service.client.get("/api/v1/requests")).json()["items"]
    call.cancel()

    assert (96, 64) == (item["width"], item["height"])


@pytest.mark.parametrize(
    ("form", "status", "param", "code"),
    [
        (PROMPT_PART + b"--x--\r\n", 400, "image", "missing_required_parameter"),
        (IMAGE_PART + b"--x--\r\n", 400, "prompt", "missing_required_parameter"),
        (PROMPT_PART + IMAGE_PART * 4 + b"--x--\r\n", 400, "image", "sequence_too_long"),
        (PROMPT_PART * 2 + IMAGE_PART + b"--x--\r\n", 400, "prompt", "invalid_value"),
        (PROMPT_PART + part(RED, 'name="mask"; filename="m.png"') + IMAGE_PART, 400, "mask", "unsupported_parameter"),
        (PROMPT_PART + part(b"", 'name="image"; filename="a.png"') + b"--x--\r\n", 400, "image", "image_load_error"),
        (PROMPT_PART + part(b"<svg/>", 'name="image"; filename="a"') + b"--x--\r\n", 400, "image", None),
        (PROMPT_PART + part(b"\xff\xfe", 'name="user"') + IMAGE_PART + b"--x--\r\n", 400, "user", "invalid_value"),
        (part(b"a" * 70_000, 'name="prompt"') + IMAGE_PART + b"--x--\r\n", 400, "prompt", "string_above_max_length"),
        (PROMPT_PART + IMAGE_PART + part(b"1", 'name="sede"') + b"--x--\r\n", 400, "sede", "unknown_parameter"),
        (part(b"1", 'name="n"') * 10_000 + b"--x--\r\n", 400, "n", "invalid_value"),
        (b"".join(part(b"1", f'name="f{n}"') for n in range(10_000)) + b"--x--\r\n", 400, None, "too_many_parts"),
        (IMAGE_PART * 10_000 + b"--x--\r\n", 400, None, "too_many_parts"),
        ((PROMPT_PART + IMAGE_PART)[:-20], 400, None, "bad_request"),
        (b"", 400, None, "bad_request"),
        (b"nothing", 400, None, "bad_request"),
    ],
    ids=[
        *("no-image", "no-prompt", "four", "twice", "mask", "empty", "svg", "no-text", "long", "typo", "same-parts"),
        *("parts", "images", "half", "no-form", "no-boundary"),
    ],
)
async def test_bad_forms(service: Service, form: bytes, status: int, param: str | None, code: str | None) -> None:
    """Each is refused in the envelope, quickly, and nothing is queued or stored."""
    began = time.process_time()
    response = await send(service, form)
    error = error_of(response)

    assert (status, param) == (response.status_code, error["param"]), error
    assert code in (None, error["code"]), error
    assert time.process_time() - began < 1.0
    assert 0 == await service.queued()
    assert 0 == (await service.store.limits.quota("ada")).stored_bytes


@pytest.mark.parametrize("boundary", ["b" * 70_000, "b" * 71, "", '"'])
async def test_a_boundary_that_is_too_long_or_missing(service: Service, boundary: str) -> None:
    """It is refused before the body is read."""
    response = await send(service, IMAGE_PART, boundary)

    assert 400 == response.status_code
    assert "boundary of 1 to 70 characters" in error_of(response)["message"]


async def test_a_form_that_is_too_large(service: Service) -> None:
    """Whether its head says so or not; a file that is larger than one may be is named."""
    large = part(bytes(21 * 1024**2), 'name="image"; filename="a.png"')
    announced = await send(service, bytes(34 * 1024**2))

    async def pieces():
        for _ in range(34):
            yield bytes(1024**2)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    chunked = await service.client.post(EDITS, content=pieces(), headers=headers)
    file = await send(service, PROMPT_PART + large + b"--x--\r\n")

    for response in (announced, chunked, file):
        assert (413, "file_too_large") == (response.status_code, error_of(response)["code"])
    assert "20 MiB" in error_of(file)["message"]


@pytest.mark.parametrize("length", [10, 10_000])
async def test_a_length_that_is_a_lie(service: Service, url: str, length: int) -> None:
    """A form that is shorter or longer than its head says is refused or never complete, and nothing is queued."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    form = PROMPT_PART + IMAGE_PART + b"--x--\r\n"
    head = (
        f"POST {EDITS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {service.key}\r\nContent-Length: {length}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    writer.write(head.encode() + form)
    writer.write_eof()
    answer = await reader.read()
    writer.close()

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert 0 == await service.queued()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"images": [{"file_id": "file-1"}]}, "images"),
        ({"images": [{}]}, "image"),
        ({"images": []}, "image"),
        ({"images": "data:,", "image": "data:,"}, "image"),
        ({"images": [5]}, "image"),
        ({}, "image"),
    ],
)
async def test_bad_images_in_json(service: Service, body: dict[str, Any], param: str) -> None:
    """They are named as the client named them."""
    response = await service.client.post(EDITS, json=FIELDS | body)

    assert (400, param) == (response.status_code, error_of(response)["param"]), response.text
