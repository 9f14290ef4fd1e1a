"""Generations: what a call gets, and the request that it makes."""

from typing import Any

import pytest

from pipelet.api.input.ignored import ignored_header
from pipelet.domain.errors import NotFound
from pipelet.domain.generation.image import OutputFormat
from pipelet.domain.jobs.outcome import FailureKind
from tests.api.openai.calls import GENERATIONS, PROMPT, answered, called, error_of, files_in, job_of
from tests.api.service import Service
from tests.support.jobs import APP

LARGE = bytes(range(256)) * 4096
"""More than one piece of a file, and no multiple of three bytes."""


async def test_a_call_gets_its_images(service: Service) -> None:
    """Each as Base64 of its file and as a URL of it, with its seed; the rest is what OpenAI's clients declare."""
    call = await called(service, {"n": 2, "size": "320x256", "seed": 7})
    lease = await service.claim()
    await service.succeed(lease, data=LARGE)
    response = await call
    body, job = response.json(), lease.job

    assert 200 == response.status_code
    assert [LARGE, LARGE] == files_in(response)
    assert LARGE == (await service.client.get(body["data"][1]["url"])).content
    assert [7, 8] == [each["seed"] for each in body["data"]]
    assert ("320x256", "png", "opaque", "auto") == tuple(
        body[name] for name in ("size", "output_format", "background", "quality")
    )
    assert int(service.clock.now()) == body["created"]
    assert 0 == body["usage"]["total_tokens"] == body["usage"]["input_tokens_details"]["image_tokens"]
    assert len(response.content) == int(response.headers["content-length"])
    assert job.id == response.headers["x-request-id"] == response.headers["x-fal-request-id"]
    assert "x-pipelet-ignored" not in response.headers
    assert (320, 256, 2, 7) == (job.spec.width, job.spec.height, job.spec.batch_size, job.spec.seed)
    listed = (await service.client.get("/api/v1/requests")).json()["items"]
    assert [job.id] == [each["id"] for each in listed]


@pytest.mark.parametrize(
    ("sent", "has_base64", "has_url"),
    [
        ({}, True, True),
        ({"model": APP}, True, True),
        ({"model": "gpt-image-1"}, True, False),
        ({"model": "chatgpt-image-latest"}, True, False),
        ({"model": "dall-e-3"}, False, True),
        ({"model": "dall-e-3", "response_format": "b64_json"}, True, False),
        ({"model": "gpt-image-1", "response_format": "url"}, False, True),
        ({"response_format": "url"}, False, True),
    ],
)
async def test_images_are_sent_as_clients_expect(
    service: Service, sent: dict[str, Any], has_base64: bool, has_url: bool
) -> None:
    """As asked for; otherwise as OpenAI's model of this name sends them, and both ways for other names."""
    [image] = (await answered(service, sent)).json()["data"]

    assert (has_base64, has_url) == ("b64_json" in image, "url" in image)


async def test_all_fields_reach_the_request(service: Service) -> None:
    """Also under the names that other servers of this API have, and as texts."""
    sent = {
        "prompt": "a red apple",
        "size": "200x136",
        "steps": "9",
        "cfg_scale": 2.5,
        "negative_prompt": "blurred",
        "priority": 3,
        "output_format": "webp",
        "output_compression": 40,
        "background": "opaque",
        "quality": "auto",
        "n": None,
    }
    response = await answered(service, sent)
    job = await job_of(service, response)
    spec = job.spec

    assert (9, 2.5, "blurred", 3) == (
        spec.num_inference_steps,
        spec.guidance_scale,
        spec.negative_prompt,
        job.priority,
    )
    assert (OutputFormat.WEBP, 40, "200x136", 1) == (
        spec.output_format,
        spec.output_quality,
        str(spec.size),
        spec.batch_size,
    )
    assert "x-pipelet-ignored" not in response.headers


async def test_what_has_no_effect_is_ignored_and_named(service: Service) -> None:
    """In the order of the body, without values."""
    sent = {"user": "u-1", "quality": "high", "style": "vivid", "new field\u00e4": {"a": 1}, "output_compression": 50}
    response = await answered(service, sent | {"moderation": "auto", "strength": 0.5, "partial_images": 2})

    names = "user, quality, style, new%20field%C3%A4, output_compression, strength, partial_images"
    assert names == response.headers["x-pipelet-ignored"]
    assert (await job_of(service, response)).spec.output_quality is None


def test_many_ignored_names_are_cut() -> None:
    """At most twenty of 64 characters, and a kibibyte, with a sign that there are more."""
    [many] = ignored_header([f"field_{number}" for number in range(30)]).values()
    [long] = ignored_header(["a" * 500, *("\u00e4" * 64 for _ in range(5))]).values()

    assert (21, True) == (len(many.split(", ")), many.endswith("field_19, ..."))
    assert ("a" * 64, 3, "...") == (long.split(", ")[0], long.count(","), long.split(", ")[-1])
    assert len(long) <= 1024
    assert {} == ignored_header([])


BAD = [
    ({"prompt": ""}, "prompt", "blank_prompt"),
    ({"prompt": "x" * 4001}, "prompt", "string_above_max_length"),
    ({"prompt": None}, "prompt", "missing_required_parameter"),
    ({"n": 17}, "n", "integer_above_max_value"),
    ({"n": "two"}, "n", "int_parsing"),
    ({"size": "63x64"}, "size", "integer_below_min_value"),
    ({"size": "5000x5000"}, "size", "integer_above_max_value"),
    ({"size": "large"}, "size", "invalid_value"),
    ({"size": 1024}, "size", "string_type"),
    ({"background": "transparent"}, "background", "unsupported_parameter"),
    ({"background": "blue"}, "background", "invalid_value"),
    ({"output_format": "svg"}, "output_format", "unsupported_parameter"),
    ({"output_format": "jpg"}, "output_format", "invalid_value"),
    ({"output_compression": 101, "output_format": "jpeg"}, "output_compression", "integer_above_max_value"),
    ({"response_format": "file"}, "response_format", "invalid_value"),
    ({"partial_images": 4, "stream": True}, "partial_images", "integer_above_max_value"),
    ({"stream": "perhaps"}, "stream", "bool_parsing"),
    ({"mask": "data:,"}, "mask", "unsupported_parameter"),
    ({"loras": []}, "loras", "unsupported_parameter"),
    ({"image": "data:,"}, "image", "unsupported_parameter"),
    ({"steps": 0}, "steps", "integer_below_min_value"),
    ({"steps": 4, "num_inference_steps": 5}, "steps", "invalid_value"),
    ({"promt": "a"}, "promt", "unknown_parameter"),
    ({"sede": 1}, "sede", "unknown_parameter"),
    ({"guidance_scal": 1}, "guidance_scal", "unknown_parameter"),
]


@pytest.mark.parametrize(("sent", "param", "code"), BAD, ids=lambda each: str(each)[:30])
async def test_bad_input_is_a_400(service: Service, sent: dict[str, Any], param: str, code: str) -> None:
    """It names the field as it was sent, in OpenAI's envelope; nothing is queued, and no client retries."""
    response = await service.client.post(GENERATIONS, json=PROMPT | sent)
    error = error_of(response)

    assert (400, "invalid_request_error") == (response.status_code, error["type"])
    assert (param, code) == (error["param"], error["code"]), error["message"]
    assert param in error["message"]
    assert "false" == response.headers["x-should-retry"]
    assert 0 == await service.queued()


async def test_all_errors_are_told_at_once(service: Service) -> None:
    """In one message, each after its field."""
    message = error_of(await service.client.post(GENERATIONS, json={"prompt": " ", "n": 0, "seed": -1}))["message"]

    assert all(f"{name}: " in message for name in ("prompt", "n", "seed"))


async def test_an_idempotency_key_that_is_none(service: Service) -> None:
    """It is a 400 that names the header, as is one that was sent before with another input."""
    bad = await service.client.post(GENERATIONS, json=PROMPT, headers={"Idempotency-Key": "a b"})
    call = await called(service, headers={"Idempotency-Key": "k"}, json=PROMPT)
    other = await service.client.post(GENERATIONS, json={"prompt": "b"}, headers={"Idempotency-Key": "k"})
    call.cancel()

    assert [(400, None)] * 2 == [(each.status_code, error_of(each)["param"]) for each in (bad, other)]
    assert all(error_of(each)["message"].startswith("Idempotency-Key: ") for each in (bad, other))


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"prompt": "a", "prompt": "b"}', b"prompt=a"])
async def test_a_body_that_is_no_object_is_a_400(service: Service, body: bytes) -> None:
    """Whatever its label says."""
    response = await service.client.post(GENERATIONS, content=body, headers={"Content-Type": "text/plain"})

    assert 400 == response.status_code
    assert error_of(response)["message"]


async def test_a_bad_key_is_a_401(service: Service) -> None:
    """With OpenAI's code, and what to send."""
    for headers in ({"Authorization": "Bearer x"}, {"Authorization": f"Bearer {'pk_' + 'a' * 43}"}):
        response = await service.client.post(GENERATIONS, json=PROMPT, headers=headers)
        assert (401, "invalid_api_key") == (response.status_code, error_of(response)["code"])
        assert "Bearer" == response.headers["www-authenticate"]


async def test_a_key_that_may_not_generate_is_a_403(service: Service) -> None:
    """The message names the scope."""
    secret = await service.new_key("op", scopes=frozenset())
    response = await service.client.post(GENERATIONS, json=PROMPT, headers={"Authorization": f"Bearer {secret}"})

    assert (403, "missing_scope") == (response.status_code, error_of(response)["code"])
    assert "generate" in error_of(response)["message"]


async def test_a_full_quota_is_a_429(service: Service) -> None:
    """Clients wait as long as the header says, and retry."""
    secret = await service.new_key("bob", max_queued_images=1)
    headers = {"Authorization": f"Bearer {secret}"}
    call = await called(service, headers=headers, json=PROMPT)
    response = await service.client.post(GENERATIONS, json=PROMPT, headers=headers)
    error = error_of(response)
    call.cancel()

    assert (429, "rate_limit_error", "queued_images_limit") == (response.status_code, error["type"], error["code"])
    assert "true" == response.headers["x-should-retry"]
    assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("kind", "status", "type_"),
    [
        (FailureKind.INVALID_INPUT, 400, "invalid_request_error"),
        (FailureKind.INTERNAL, 500, "server_error"),
        (FailureKind.OUT_OF_MEMORY, 500, "server_error"),
        (FailureKind.CANCELLED, 499, "request_cancelled"),
    ],
)
async def test_a_failure_is_the_response(service: Service, kind: FailureKind, status: int, type_: str) -> None:
    """It is final: no client retries."""
    call = await called(service)
    lease = await service.claim()
    await service.fail(lease, kind, "No images of this.")
    response = await call
    error = error_of(response)

    assert (status, type_, kind.value) == (response.status_code, error["type"], error["code"])
    assert "No images of this." == error["message"]
    assert ("false", lease.job.id) == (response.headers["x-should-retry"], response.headers["x-request-id"])


async def test_a_file_that_is_gone_is_an_error(service: Service) -> None:
    """Before the response begins: no client gets half of it."""
    call = await called(service)
    lease = await service.claim()
    await service.succeed(lease)
    job = await service.store.jobs.get(lease.job.id)
    assert job is not None
    await service.blobs.delete(job.images[0].key)
    response = await call

    assert 404 == response.status_code
    assert "no longer stored" in error_of(response)["message"]
    with pytest.raises(NotFound):
        await service.blobs.get(job.images[0].key)


async def test_another_part_of_openais_api_is_refused_in_its_envelope(service: Service) -> None:
    """With what is served, or the method that is allowed."""
    unknown = await service.client.post("/v1/images/variations", json={})
    wrong = await service.client.get(GENERATIONS)

    assert (404, 405) == (unknown.status_code, wrong.status_code)
    assert GENERATIONS in error_of(unknown)["message"]
    assert ("POST", "GET is not allowed here, only POST.") == (wrong.headers["allow"], error_of(wrong)["message"])


async def test_pages_of_other_origins_may_call(service: Service) -> None:
    """They see the headers that clients use."""
    response = await service.client.get("/v1/models", headers={"Origin": "https://example.com"})

    assert "*" == response.headers["access-control-allow-origin"]
    exposed = response.headers["access-control-expose-headers"].lower()
    assert all(name in exposed for name in ("x-request-id", "x-should-retry", "x-pipelet-ignored", "retry-after"))
