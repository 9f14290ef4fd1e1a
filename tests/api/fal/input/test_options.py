"""Options of a submit next to its input."""

from collections.abc import Mapping

import httpx2
import pytest

from pipelet.api.fal.description import schemas
from pipelet.domain.jobs.job import Job, JobState
from tests.api.service import Service
from tests.support.jobs import APP, claim_request

URL = f"/fal/queue/{APP}"


async def submitted(
    service: Service, headers: Mapping[str, str] | None = None, *, priority: int | None = None, key: str = ""
) -> Job:
    send = dict(headers or {}) | ({"Authorization": f"Bearer {key}"} if key else {})
    response = await service.client.post(URL, json={"prompt": "a", "priority": priority}, headers=send)
    assert response.status_code == 200, response.text
    job = await service.store.jobs.get(response.json()["request_id"])
    assert job is not None
    return job


async def result_response(service: Service, job: Job) -> httpx2.Response:
    return await service.client.get(service.result_path(job.id))


@pytest.mark.parametrize("name", ["X-Fal-Request-Timeout", "x-fal-request-start-timeout"])
async def test_a_request_that_did_not_begin_in_time(service: Service, name: str) -> None:
    """It is `COMPLETED` with an error, its result is the 504 that fal's clients take as final, and it never runs."""
    late, patient = await submitted(service, {name: "30.0"}), await submitted(service)
    service.clock.time += 30

    assert 1 == await service.store.jobs.expire_overdue(service.clock.now(), 10)

    status = await service.client.get(service.status_path(late.id))
    assert (200, "COMPLETED") == (status.status_code, status.json()["status"])
    assert ("Request timed out", "request_timeout") == (status.json()["error"], status.json()["error_type"])
    result = await result_response(service, late)
    assert 504 == result.status_code
    assert {"detail": "Request timed out", "error_type": "request_timeout"}.items() <= result.json().items()
    assert "user" == result.headers["x-fal-request-timeout-type"]
    assert "request_timeout" == result.headers["x-fal-error-type"]
    assert late.id == result.headers["x-fal-request-id"]
    assert patient.id == (await service.claim()).job.id
    cancel = await service.client.put(f"{service.result_path(late.id)}/cancel")
    assert "ALREADY_COMPLETED" == cancel.json()["status"]


async def test_the_newer_name_of_the_timeout_wins(service: Service) -> None:
    """Whatever the order of the two headers."""
    new, old = ("X-Fal-Request-Start-Timeout", "9"), ("X-Fal-Request-Timeout", "3")
    for headers in ([new, old], [old, new]):
        job = await submitted(service, dict(headers))
        assert service.clock.now() + 9 == job.start_deadline


@pytest.mark.parametrize("value", ["", "soon", "0", "0.1", "-3", "nan", "inf", "1e999", "30s"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_timeout_that_is_none_is_refused(shared_service: Service, value: str) -> None:
    """At submit, with what a timeout is; it would otherwise be waited for in vain."""
    response = await shared_service.client.post(URL, json={"prompt": "a"}, headers={"X-Fal-Request-Timeout": value})

    assert 422 == response.status_code
    refusal = schemas.Refusal.model_validate_json(response.content, strict=True, extra="forbid")
    assert isinstance(refusal.detail, list)
    assert ["header", "X-Fal-Request-Timeout"] == refusal.detail[0].loc
    assert "more than 0.1" in refusal.message
    assert 0 == await shared_service.queued()


async def test_a_queue_that_is_too_long(service: Service) -> None:
    """A 429 that says when to come again, with a type of its own, counting what all users have waiting."""
    for _ in range(2):
        await submitted(service, key=await service.new_key("bob"))

    taken = await service.client.post(f"{URL}?fal_max_queue_length=2", json={"prompt": "a"})
    refused = await service.client.post(f"{URL}?fal_max_queue_length=2", json={"prompt": "a"})

    assert [200, 429] == [taken.status_code, refused.status_code]
    assert refused.headers["retry-after"].isdecimal()
    assert ("1", "queue_too_long") == (refused.headers["x-fal-needs-retry"], refused.headers["x-fal-error-type"])
    for words in ("3 requests wait", "the 2 that"):
        assert words in refused.json()["message"]
    assert 3 == await service.queued()


async def test_a_refusal_tells_when_the_queue_may_be_short_enough(service: Service) -> None:
    """The more of what waits has to begin first, the later, up to a minute."""
    for _ in range(40):
        await service.submit(batch_size=4, num_inference_steps=50)

    told = [
        int(
            (await service.client.post(f"{URL}?fal_max_queue_length={length}", json={"prompt": "a"})).headers[
                "retry-after"
            ]
        )
        for length in (39, 36, 0)
    ]

    assert 1 == told[0] < told[1] < told[2] == 60


@pytest.mark.parametrize("value", ["", "-1", "1.5", "many", "9" * 30])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_length_that_is_none_is_refused(shared_service: Service, value: str) -> None:
    """With a 422 that names the parameter."""
    response = await shared_service.client.post(URL, params={"fal_max_queue_length": value}, json={"prompt": "a"})

    assert 422 == response.status_code
    assert ["query", "fal_max_queue_length"] == response.json()["detail"][0]["loc"]


@pytest.mark.parametrize(
    ("word", "in_body", "ceiling", "expected"),
    [
        ("normal", None, None, 0),
        ("low", None, None, -1),
        ("LOW", None, None, -1),
        ("high", None, None, 0),
        ("low", 5, None, 5),
        ("low", None, 7, -1),
        ("low", None, -3, -4),
        ("normal", None, -3, -3),
        ("low", None, -(2**31), -(2**31)),
    ],
)
async def test_fals_word_for_a_priority(
    service: Service, word: str, in_body: int | None, ceiling: int | None, expected: int
) -> None:
    """`low` is one less than what the key's requests have anyway; a number in the body goes first."""
    key = await service.new_key("ada", max_priority=ceiling)

    job = await submitted(service, {"X-Fal-Queue-Priority": word}, priority=in_body, key=key)

    assert expected == job.priority


@pytest.mark.parametrize(("word", "expected"), [("1", True), ("true", True), ("YES", True), ("0", False), ("x", False)])
async def test_no_retry(service: Service, word: str, expected: bool) -> None:
    """fal's three words for it allow one attempt."""
    assert expected == (await submitted(service, {"X-Fal-No-Retry": word})).no_retry


async def test_an_input_that_is_not_to_be_kept(service: Service) -> None:
    """Its result is whole but for the prompt, which is empty."""
    job = await submitted(service, {"X-Fal-Store-IO": "0"})
    lease = await service.claim()
    assert "a" == lease.job.spec.prompt
    await service.succeed(lease)

    result = (await result_response(service, job)).json()

    schemas.Result.model_validate(result, extra="forbid")
    assert ("", job.spec.seed) == (result["prompt"], result["seed"])
    assert (await submitted(service, {"X-Fal-Store-IO": "1"})).store_input


async def test_a_result_that_is_kept_for_less(service: Service) -> None:
    """From the moment that was asked for, the request is unknown, also before it has been cleared away."""
    preference = '{"expiration_duration_seconds": 60, "initial_acl": {"default": "hide"}}'
    job = await submitted(service, {"X-Fal-Object-Lifecycle-Preference": preference})
    service.clock.time += 1000
    await service.succeed(await service.claim())

    service.clock.time += 59
    assert 200 == (await result_response(service, job)).status_code
    service.clock.time += 1
    assert 404 == (await result_response(service, job)).status_code


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "3600",
        "[]",
        '{"expiration_duration_seconds": "60"}',
        '{"expiration_duration_seconds": 0}',
        '{"expiration_duration_seconds": -5}',
        '{"expiration_duration_seconds": true}',
        '{"expiration_duration_seconds": NaN}',
        "[" * 100_000,
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_lifecycle_that_is_none_is_refused(shared_service: Service, value: str) -> None:
    """With a 422 that shows what one looks like."""
    response = await shared_service.client.post(
        URL, json={"prompt": "a"}, headers={"X-Fal-Object-Lifecycle-Preference": value}
    )

    assert 422 == response.status_code
    assert '{"expiration_duration_seconds": 3600}' in response.json()["message"]
    assert len(response.content) < 2000


@pytest.mark.parametrize(
    "value", ["null", "{}", '{"expiration_duration_seconds": null}', '{"expiration_duration_seconds": 1e300}']
)
async def test_a_lifecycle_without_an_end_is_the_operators(service: Service, value: str) -> None:
    """What says no time, or a time beyond all clocks, is kept as long as everything else."""
    job = await submitted(service, {"X-Fal-Object-Lifecycle-Preference": value})

    await service.succeed(await service.claim())
    service.clock.time += 1e6
    assert JobState.SUCCEEDED == (await service.store.jobs.get(job.id)).state  # type: ignore[union-attr]
    assert 200 == (await result_response(service, job)).status_code


async def test_other_headers_of_fals_are_ignored(service: Service) -> None:
    """Whatever they hold."""
    names = ("X-Fal-Runner-Hint", "X-Fal-Retry-Config", "x-app-fal-disable-fallback", "x-fal-cdn-token", "X-Fal-Tags")

    job = await submitted(service, dict.fromkeys(names, "{not: [json"))

    assert (None, False, True, None) == (job.start_deadline, job.no_retry, job.store_input, job.retention_seconds)
    assert await service.store.leases.claim(claim_request(now=service.clock.now()))


async def test_all_faults_are_named_at_once(service: Service) -> None:
    """Several headers and the query."""
    headers = {"X-Fal-Request-Timeout": "x", "Idempotency-Key": "a b", "X-Fal-Object-Lifecycle-Preference": "x"}

    response = await service.client.post(f"{URL}?fal_max_queue_length=x", json={"prompt": "a"}, headers=headers)

    assert 4 == len(response.json()["detail"])
