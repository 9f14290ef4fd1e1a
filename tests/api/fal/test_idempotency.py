"""Submits that carry an `Idempotency-Key`."""

import asyncio
from typing import Any

import httpx2
import pytest

from pipelet.api.fal.description import schemas
from tests.api.service import Service
from tests.support.jobs import APP

URL = f"/fal/queue/{APP}"


async def post(service: Service, body: Any, key: str = "k-1", *, query: str = "", **headers: str) -> httpx2.Response:
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    return await service.client.post(URL + query, headers={"Idempotency-Key": key, **headers}, **content)


async def test_the_same_again_is_the_same_request(service: Service) -> None:
    """The second response names the first one's request, says so in a header, and nothing more is queued."""
    await service.submit()
    first = await post(service, {"prompt": "a cat", "width": 64})
    again = await post(service, {"prompt": "a cat", "width": 64})

    assert first.json() == again.json()
    assert 1 == again.json()["queue_position"]
    assert [None, "true"] == [response.headers.get("idempotent-replayed") for response in (first, again)]
    assert first.headers["x-fal-request-id"] == again.headers["x-fal-request-id"]
    assert 2 == await service.queued()


@pytest.mark.parametrize(
    "body",
    [
        b'{"width":64,"prompt":"a cat"}',
        b'{"prompt" : "a\\u0020cat", "width": 64, "seed": null}',
    ],
)
async def test_however_the_same_is_written(service: Service, body: bytes) -> None:
    """Order, spaces, escapes and nulls make no other request."""
    first = await post(service, {"prompt": "a cat", "width": 64})

    assert first.json()["request_id"] == (await post(service, body)).json()["request_id"]


@pytest.mark.parametrize(
    "body", [{"prompt": "a dog"}, {"prompt": "a cat", "seed": 1}, {"prompt": "a cat", "width": 128}]
)
async def test_another_input_with_the_same_key_is_refused(service: Service, body: dict[str, Any]) -> None:
    """With a 422 that names the header and says what to do; nothing is queued."""
    await post(service, {"prompt": "a cat"})

    response = await post(service, body)

    assert 422 == response.status_code
    refusal = schemas.Refusal.model_validate_json(response.content, strict=True, extra="forbid")
    assert isinstance(refusal.detail, list)
    assert (["header", "Idempotency-Key"], "idempotency_key_reused") == (refusal.detail[0].loc, refusal.detail[0].type)
    assert "new key" in refusal.message
    assert 1 == await service.queued()


async def test_a_repeated_submit_tells_how_far_it_is(service: Service) -> None:
    """Also when the request has begun, and when it has ended."""
    first = await post(service, {"prompt": "a"})
    lease = await service.claim()
    running = await post(service, {"prompt": "a"})
    await service.succeed(lease)
    done = await post(service, {"prompt": "a"})

    assert ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"] == [each.json()["status"] for each in (first, running, done)]
    assert 1 == len({each.json()["request_id"] for each in (first, running, done)})
    schemas.Submitted.model_validate_json(done.content, extra="forbid")


async def test_racing_submits_make_one_request(service: Service) -> None:
    """However many arrive at the same moment."""
    responses = await asyncio.gather(*(post(service, {"prompt": "a"}) for _ in range(20)))

    assert {200} == {response.status_code for response in responses}
    assert 1 == len({response.json()["request_id"] for response in responses})
    assert 1 == await service.queued()


async def test_keys_are_each_users_own(service: Service) -> None:
    """Idempotency keys are per user: another user's is a different one; two API keys of one user share theirs."""
    mine = await post(service, {"prompt": "a"})
    for user, same in (("bob", False), ("ada", True)):
        secret = await service.new_key(user)
        other = await post(service, {"prompt": "a"}, Authorization=f"Bearer {secret}")
        assert same == (mine.json()["request_id"] == other.json()["request_id"])


async def test_a_key_lasts_a_day(service: Service) -> None:
    """Then it stands for a new request."""
    first = await post(service, {"prompt": "a"})
    service.clock.time += 86_399
    again = await post(service, {"prompt": "a"})
    service.clock.time += 2
    later = await post(service, {"prompt": "other"})

    assert first.json()["request_id"] == again.json()["request_id"]
    assert 200 == later.status_code
    assert first.json()["request_id"] != later.json()["request_id"]


async def test_a_request_that_is_gone_is_not_generated_again(service: Service) -> None:
    """Where the request was forgotten within the day, the response to its key says that, and what to do."""
    await post(service, {"prompt": "a"})
    await service.succeed(await service.claim())
    await service.store.jobs.delete_finished(service.clock.now() + 1, service.clock.now() + 1, 10)

    response = await post(service, {"prompt": "a"})

    assert 404 == response.status_code
    assert "another key" in response.json()["message"]
    assert 0 == await service.queued()


async def test_a_repeated_submit_needs_no_room(service: Service) -> None:
    """Neither a limit that is reached by now nor a queue that has grown keep the response from a client that missed
    it."""
    secret = await service.new_key("bob", max_queued_images=1)
    send = {"Authorization": f"Bearer {secret}"}
    first = await post(service, {"prompt": "a"}, query="?fal_max_queue_length=0", **send)

    again = await post(service, {"prompt": "a"}, query="?fal_max_queue_length=0", **send)

    assert 200 == again.status_code
    assert first.json()["request_id"] == again.json()["request_id"]


async def test_nesting_is_refused_as_input(service: Service) -> None:
    """However deep, also where it can only just be read."""
    for depth in (*range(20, 900, 20), *range(900, 1000)):
        body = '{"prompt": ' + "[" * depth + "]" * depth + "}"
        response = await service.client.post(URL, content=body, headers={"Idempotency-Key": "k"})

        assert response.status_code in (400, 422), depth


@pytest.mark.parametrize("key", ["", "   ", "a b", "é", "x" * 256])
async def test_what_is_no_key_is_refused(service: Service, key: str) -> None:
    """Empty, with blanks, beyond ASCII, or too long: a 422 that says what a key is."""
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    response = await service.client.post(URL, json={"prompt": "a"}, headers=headers)

    assert 422 == response.status_code
    assert response.json()["message"].startswith("Idempotency-Key: Give 1 to 255 visible ASCII characters")
    assert 0 == await service.queued()


async def test_two_keys_are_refused(service: Service) -> None:
    """Which of them is meant is not ours to guess."""
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]

    response = await service.client.post(URL, json={"prompt": "a"}, headers=headers)

    assert 422 == response.status_code
    assert 0 == await service.queued()
