"""Uploads as the file of a form: as curl, browsers and Python send it, and as none of them would."""

import time
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, lists, sampled_from

from pipelet.api.errors import Problem
from pipelet.api.v1.uploads.body import _file_in
from tests.api.service import Service
from tests.api.v1.uploads.calls import RED, URL, files, stored
from tests.support.images import png

FORM = "multipart/form-data; boundary=x"
LARGE = png((64, 64)) + bytes(3 * 1024**2)


def part(
    content: bytes = RED, name: str = "file", *head: str, disposition: str = 'form-data; name="%s"; filename="a.png"'
) -> bytes:
    lines = [f"Content-Disposition: {disposition % name if '%s' in disposition else disposition}", *head]
    return "\r\n".join(["--x", *lines, "", ""]).encode() + content + b"\r\n"


async def post(service: Service, body: bytes, content_type: str = FORM) -> httpx2.Response:
    return await service.client.post(URL, content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize("content", [RED, LARGE, RED + b"\r\n--\r\n-\r--x\r\n\r\n"], ids=["small", "large", "near"])
async def test_the_file_of_a_form_is_stored_as_it_is(service: Service, content: bytes) -> None:
    """Byte for byte, also where it holds what looks like a boundary, whatever its name and its type are."""
    sent = [
        await service.client.post(URL, files={"file": (name, content, "text/html")})
        for name in ("a.png", "../../etc/passwd", "\u00e4\0\"';.html", "")
    ]
    sent.append(await post(service, part(content) + b"--x--\r\n"))

    for response in sent:
        assert 201 == response.status_code, response.text
        found = await service.client.get(response.json()["url"])
        assert (content, "image/png") == (found.content, found.headers["content-type"])
    assert all(name.startswith("uploads/") for name in files(service))


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (part(RED, "image") + b"--x--\r\n", "image"),
        (part() + part() + b"--x--\r\n", "file"),
        (part() + part(b"1", "prompt") + b"--x--\r\n", "prompt"),
        (part() * 10_000 + b"--x--\r\n", "file"),
        (b"--x--\r\n", "file"),
        (part(disposition="form-data") + b"--x--\r\n", ""),
        (part(disposition='form-data; name="' + "\\" * 4000) + b"--x--\r\n", ""),
        (part(disposition="form-data" + ";" + " " * 4000) + b"--x--\r\n", ""),
        (part(b"<svg/>") + b"--x--\r\n", "file"),
        (part(b"") + b"--x--\r\n", "file"),
    ],
    ids=[
        "other-name",
        "two-files",
        "other-field",
        "many-parts",
        "no-part",
        "no-name",
        "backslashes",
        "blanks",
        "no-image",
        "empty",
    ],
)
async def test_a_form_has_one_file(service: Service, body: bytes, where: str) -> None:
    """Anything else is a 422 that names the field, and nothing is stored."""
    response = await post(service, body)

    assert 422 == response.status_code, response.text
    assert ["body", where] == response.json()["detail"][0]["loc"]
    assert ([], 0) == (files(service), await stored(service))


FORMS: dict[str, tuple[bytes, str]] = {
    "half": (part()[: len(RED) // 2], FORM),
    "no end": (part(), FORM),
    "end of a line is missing": (part() + b"--x-", FORM),
    "nothing": (b"", FORM),
    "no form": (RED, FORM),
    "more than it says": (part(RED, "file", "Content-Length: 5") + b"--x--\r\n", FORM),
    "less than it says": (part(RED, "file", f"Content-Length: {10**12}") + b"--x--\r\n", FORM),
    "many heads": (part(RED, "file", *[f"X-{k}: 1" for k in range(10_000)]) + b"--x--\r\n", FORM),
    "long head": (part(RED, "file", f"X: {'x' * 1_000_000}") + b"--x--\r\n", FORM),
    "endless head": (b"--x\r\nContent-Disposition: form-data" + b"x" * 2_000_000, FORM),
    "attachment": (part(disposition='attachment; name="file"') + b"--x--\r\n", FORM),
    "no head": (b"--x\r\n\r\n" + RED + b"\r\n--x--\r\n", FORM),
    "no text": (b"--x\r\nContent-Disposition: \xff\xfe\r\n\r\n\r\n--x--\r\n", FORM),
    "other boundary": (part() + b"--x--\r\n", "multipart/form-data; boundary=y"),
    "no boundary": (part(), "multipart/form-data"),
    "empty boundary": (part(), 'multipart/form-data; boundary=""'),
    "boundary of 71": (part(), f"multipart/form-data; boundary={'x' * 71}"),
    "boundary of 70 KB": (part(), f"multipart/form-data; boundary={'x' * 70_000}"),
    "quoted backslashes": (part(), 'multipart/form-data; boundary="' + "\\" * 60_000),
    "mixed": (part(), "multipart/mixed; boundary=x"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_damaged_form_is_refused(service: Service, form: str) -> None:
    """With a 400 that says what is wrong, in no time, and nothing is left behind."""
    body, content_type = FORMS[form]
    began = time.process_time()

    response = await post(service, body, content_type)

    assert 400 == response.status_code, response.text
    assert response.json()["message"].startswith("The form cannot be read: ")
    assert time.process_time() - began < 1
    assert ([], 0) == (files(service), await stored(service))
    assert 201 == (await post(service, part() + b"--x--\r\n")).status_code


PIECES = [
    *(b"--x", b"--", b"\r\n", b"\r", b"\n", b"--x--", b"--x\r\n", b"\r\n\r\n", RED, b"\0", b"\xff", b":", b";", b'"'),
    *(
        b"Content-Disposition: form-data",
        b'; name="file"',
        b"; filename*=utf-8''%ff",
        b"Content-Length: 1",
        b"Content-Type: x",
    ),
]


@given(form=lists(sampled_from(PIECES) | binary(max_size=9), max_size=40).map(b"".join))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_a_form_or_a_refusal(form: bytes) -> None:
    """Whatever the pieces of a form are put together to."""
    for end in (b"", b"\r\n--x--\r\n"):
        try:
            assert isinstance(_file_in(form + end, "x"), bytes)
        except Problem as problem:
            assert problem.status in (400, 422)


async def test_a_form_of_a_large_file_is_refused(service: Service) -> None:
    """As the file itself would be: the rest of a form does not count."""
    most = RED + bytes(20 * 1024**2 - len(RED))

    assert 201 == (await post(service, part(most) + b"--x--\r\n")).status_code
    for body in (part(most + b"\0"), part(most + bytes(100_000))):
        assert 413 == (await post(service, body + b"--x--\r\n")).status_code


async def test_a_client_that_hangs_up_leaves_nothing(service: Service) -> None:
    """In the middle of a large file: the memory that was kept for it is free again."""
    free = service.app.state.dependencies.bodies._large.free
    messages: list[Any] = [
        {"type": "http.request", "body": part(LARGE)[: 2 * 1024**2], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        pass

    headers = {"authorization": f"Bearer {service.key}", "content-type": FORM, "host": "pipelet.test"}
    await service.app(
        {
            "type": "http",
            "method": "POST",
            "path": URL,
            "query_string": b"",
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        },
        receive,
        send,
    )

    assert ([], 0) == (files(service), await stored(service))
    assert free == service.app.state.dependencies.bodies._large.free
