"""Invalid requests, and their responses."""

import json
import logging
from typing import Any

import pytest

from tests.api.service import Service
from tests.support.jobs import APP

URL = f"/fal/queue/{APP}"


def body(**fields: Any) -> bytes:
    return json.dumps({"prompt": "a", **fields}).encode()


UNREADABLE = {
    "not JSON": (b"prompt=a+girl", 400),
    "a cut-off object": (b'{"prompt": "a"', 400),
    "an array": (b'["a"]', 422),
    "a text": (b'"a"', 422),
    "null": (b"null", 422),
    "2 MiB": (body(prompt="a" * 2**21), 413),
    "2 MiB of blanks": (b" " * 2**21, 413),
    "10,000 arrays deep": (b'{"prompt": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400),
    "10,000 objects deep": (b'{"prompt": ' * 10_000 + b"1" + b"}" * 10_000, 400),
    "10,000 arrays left open": (b"[" * 10_000, 400),
    "NaN": (b'{"prompt": "a", "guidance_scale": NaN}', 400),
    "-Infinity": (b'{"prompt": "a", "seed": -Infinity}', 400),
    "a number of 10,000 digits": (b'{"prompt": "a", "seed": ' + b"9" * 10_000 + b"}", 400),
    "Latin-1": ('{"prompt": "d\u00e9j\u00e0 vu"}'.encode("latin-1"), 400),
    "UTF-16": ('{"prompt": "a"}'.encode("utf-16"), 400),
    "a field twice": (b'{"prompt": "a", "width": 64, "width": 4096}', 400),
}


@pytest.mark.parametrize(("content", "status"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.asyncio(loop_scope="module")
async def test_unreadable_bodies(
    shared_service: Service, content: bytes, status: int, log_lines: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A body that is no JSON object is refused in one line, queues nothing and logs no error."""
    response = await shared_service.client.post(URL, content=content)

    assert response.status_code == status
    refusal = response.json()
    assert refusal["detail"]
    assert refusal["message"]
    assert "\n" not in refusal["message"]
    assert len(response.content) < 1000
    assert await shared_service.queued() == 0
    assert not [line for line in log_lines if line["log_level"] == "error"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "an empty body": (b"", "prompt", "missing"),
    "an empty object": (b"{}", "prompt", "missing"),
    "a null prompt": (body(prompt=None), "prompt", "missing"),
    "a number as prompt": (body(prompt=3), "prompt", "string_type"),
    "an empty prompt": (body(prompt=""), "prompt", "blank_prompt"),
    "a blank prompt": (body(prompt=" \n\u00a0\u2003"), "prompt", "blank_prompt"),
    "NUL in the prompt": (body(prompt="a\x00b"), "prompt", "no_text"),
    "a prompt of nothing but controls that are blanks": (body(prompt="\x1c\x85"), "prompt", "blank_prompt"),
    "a lone surrogate in the prompt": (b'{"prompt": "a \\ud800 b"}', "prompt", "no_text"),
    "a prompt of 100,000 characters": (body(prompt="a" * 100_000), "prompt", "string_too_long"),
    "a prompt of 4001 characters": (body(prompt="é" * 4001), "prompt", "string_too_long"),
    "<|im_end|> in the prompt": (body(prompt="a<|im_end|>b"), "prompt", "reserved_text"),
    "<|endoftext|> in the negative prompt": (
        body(negative_prompt="<|endoftext|>"),
        "negative_prompt",
        "reserved_text",
    ),
    "NUL in the negative prompt": (body(negative_prompt="\x00"), "negative_prompt", "no_text"),
    "width 63": (body(width=63), "width", "greater_than_equal"),
    "width 4097": (body(width=4097), "width", "less_than_equal"),
    'width "63"': (body(width="63"), "width", "greater_than_equal"),
    "width 64.5": (body(width=64.5), "width", "int_parsing"),
    'width "64.0"': (body(width="64.0"), "width", "int_parsing"),
    "width in Arabic digits": (body(width="٣٢٠٠"), "width", "int_parsing"),
    'width "1e3"': (body(width="1e3"), "width", "int_parsing"),
    'width "1_000"': (body(width="1_000"), "width", "int_parsing"),
    'width " 1000"': (body(width=" 1000"), "width", "int_parsing"),
    'width "1000\\n"': (body(width="1000\n"), "width", "int_parsing"),
    'width ""': (body(width=""), "width", "int_parsing"),
    'width "0x400"': (body(width="0x400"), "width", "int_parsing"),
    "width 1e400": (b'{"prompt": "a", "width": 1e400}', "width", "int_parsing"),
    "width 1e300": (b'{"prompt": "a", "width": 1e300}', "width", "less_than_equal"),
    "width of 4000 digits": (b'{"prompt": "a", "width": ' + b"9" * 4000 + b"}", "width", "less_than_equal"),
    "a text of 100,000 digits": (body(width="9" * 100_000), "width", "int_parsing"),
    "true as width": (body(width=True), "width", "int_parsing"),
    "a list as height": (body(height=[1024]), "height", "int_parsing"),
    "an object as height": (body(height={}), "height", "int_parsing"),
    "batch 0": (body(batch_size=0), "batch_size", "greater_than_equal"),
    "batch 17": (body(batch_size=17), "batch_size", "less_than_equal"),
    "false as batch": (body(batch_size=False), "batch_size", "int_parsing"),
    "seed -1": (body(seed=-1), "seed", "greater_than_equal"),
    "seed 2**53": (body(seed=2**53), "seed", "less_than_equal"),
    "priority 2**31": (body(priority=2**31), "priority", "less_than_equal"),
    "priority -2**31-1": (body(priority=-(2**31) - 1), "priority", "greater_than_equal"),
    "no steps": (body(num_inference_steps=0), "num_inference_steps", "greater_than_equal"),
    "101 steps": (body(num_inference_steps=101), "num_inference_steps", "less_than_equal"),
    "guidance -0.1": (body(guidance_scale=-0.1), "guidance_scale", "greater_than_equal"),
    "guidance 20.1": (body(guidance_scale="20.1"), "guidance_scale", "less_than_equal"),
    "guidance true": (body(guidance_scale=True), "guidance_scale", "float_parsing"),
    "guidance 1e400": (b'{"prompt": "a", "guidance_scale": 1e400}', "guidance_scale", "float_parsing"),
    "guidance of 4000 digits": (
        b'{"prompt": "a", "guidance_scale": ' + b"9" * 4000 + b"}",
        "guidance_scale",
        "less_than_equal",
    ),
    'guidance "nan"': (body(guidance_scale="nan"), "guidance_scale", "float_parsing"),
    'guidance "1e1"': (body(guidance_scale="1e1"), "guidance_scale", "float_parsing"),
    "format gif": (body(output_format="gif"), "output_format", "enum"),
    "format 1": (body(output_format=1), "output_format", "enum"),
    "an unknown field": (body(image_urls=["https://x.test/a.png"]), "image_urls", "extra_forbidden"),
    "an unknown field that is a lone surrogate": (b'{"prompt": "a", "\\ud800": 1}', "?", "extra_forbidden"),
}


@pytest.mark.parametrize(("content", "field", "kind"), REFUSED.values(), ids=REFUSED)
@pytest.mark.asyncio(loop_scope="module")
async def test_refused_fields(
    shared_service: Service,
    content: bytes,
    field: str,
    kind: str,
    log_lines: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A field that is wrong is refused by name, queues nothing and logs no error."""
    response = await shared_service.client.post(URL, content=content)

    assert response.status_code == 422
    refusal = response.json()
    assert [(fault["loc"], fault["type"]) for fault in refusal["detail"]] == [(["body", field], kind)]
    assert refusal["message"]
    assert "\n" not in refusal["message"]
    assert len(response.content) < 1500
    assert response.content.decode("ascii").find("\\ud8") == -1
    assert await shared_service.queued() == 0
    assert not [line for line in log_lines if line["log_level"] == "error"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_all_faults_at_once(service: Service) -> None:
    """Everything that is wrong with a body is in one response, each fault with what was sent."""
    content = json.dumps({"width": "63", "heigth": 2000, "batch_size": True, "seed": 2**60}).encode()

    refusal = (await service.client.post(URL, content=content)).json()

    expected = [("prompt", None), ("width", "63"), ("batch_size", True), ("seed", str(2**60)), ("heigth", 2000)]
    assert [(fault["loc"][1], fault["input"]) for fault in refusal["detail"]] == expected
    assert refusal["message"] == "prompt: Field required (4 more in `detail`)"


@pytest.mark.parametrize(("sent", "meant"), [("heigth", "height"), ("promt", "prompt"), ("batchsize", "batch_size")])
@pytest.mark.asyncio(loop_scope="module")
async def test_misspelt_field(shared_service: Service, sent: str, meant: str) -> None:
    """The response to a misspelt field names the nearest one."""
    refusal = (await shared_service.client.post(URL, content=body(**{sent: "1"}))).json()

    assert refusal["message"] == f"Unknown field '{sent}'. Did you mean '{meant}'?"


async def test_very_many_unknown_fields(service: Service) -> None:
    """A hundred thousand unknown fields cost neither time nor a long response."""
    content = body(**{f"f{number}": 0 for number in range(70_000)})

    response = await service.client.post(URL, content=content)

    assert response.status_code == 422
    assert len(response.json()["detail"]) == 11
    assert response.elapsed.total_seconds() < 2


async def test_too_large_without_a_length(service: Service) -> None:
    """A body that does not say its size is cut off at the limit."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 2**16
            yield b" " * 2**16

    response = await service.client.post(URL, content=endless())

    assert response.status_code == 413
    assert sent < 2**21


async def test_hanging_up_in_the_middle(service: Service, log_lines: list[Any]) -> None:
    """A client that hangs up in the middle of its body queues nothing and logs no error."""
    parts: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"prompt": "a"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: Any) -> None:
        pass

    key = service.client.headers["Authorization"].encode()
    scope = {"type": "http", "method": "POST", "path": URL, "headers": [(b"authorization", key)], "query_string": b""}
    await service.app(scope, receive, send)

    assert await service.queued() == 0
    assert not [line for line in log_lines if line["log_level"] == "error"]


@pytest.mark.parametrize("length", ["9" * 30, "1048577"])
async def test_too_large_by_its_own_word(service: Service, length: str) -> None:
    """A body that says it is too large is refused before it is read."""

    async def never_read() -> Any:
        raise AssertionError("the body was read")
        yield b""

    response = await service.client.post(URL, content=never_read(), headers={"Content-Length": length})

    assert response.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/fal/queue/no-such-app", 404),
        ("POST", "/fal/queue/%00", 404),
        ("POST", "/fal/queue/", 404),
        ("POST", "/fal/queue/a/b", 404),
        ("GET", f"/fal/queue/{APP}", 405),
        ("DELETE", f"/fal/queue/{APP}/", 405),
        ("POST", f"/fal/queue/{APP}/requests/rn5r12q9pdu6yvb3nxty/cancel", 405),
        ("PUT", f"/fal/queue/{APP}/requests/rn5r12q9pdu6yvb3nxty/status", 405),
        ("GET", f"/fal/queue/{APP}/requests/rn5r12q9pdu6yvb3nxty", 404),
        ("GET", f"/fal/queue/{APP}/requests/RN5R12Q9PDU6YVB3NXTY", 404),
        ("GET", f"/fal/queue/{APP}/requests/../status", 404),
        ("GET", f"/fal/queue/{APP}/requests/{'a' * 5000}/status", 404),
        ("GET", f"/fal/queue/{APP}/requests/%00%ff'--/status", 404),
        ("GET", f"/fal/queue/{APP}/requests/٣٢٠٠/status", 404),
        ("PUT", f"/fal/queue/{APP}/requests/rn5r12q9pdu6yvb3nxt/cancel", 404),
        ("GET", "/fal/queue/no-such-app/requests/rn5r12q9pdu6yvb3nxty/status", 404),
        ("GET", "/nowhere", 404),
        ("BREW", f"/fal/queue/{APP}", 405),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_wrong_paths_and_methods(
    shared_service: Service, method: str, path: str, status: int, log_lines: list[Any]
) -> None:
    """A path or method that is not there is refused in the shape of every other error."""
    response = await shared_service.client.request(method, path, json={"prompt": "a"})

    assert response.status_code == status
    refusal = response.json()
    assert refusal["detail"]
    assert refusal["message"]
    assert refusal.get("status") == ("NOT_FOUND" if status == 404 else None)
    assert ("allow" in response.headers) == (status == 405)
    assert await shared_service.queued() == 0
    assert not [line for line in log_lines if line["log_level"] == "error"]
