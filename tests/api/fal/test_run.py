"""The call whose response is the result itself."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from pipelet.domain.jobs.job import JobState
from pipelet.domain.jobs.outcome import FailureKind
from tests.api.service import Service
from tests.support.jobs import APP
from tests.support.waiting import until

PATHS = [f"/fal/run/{APP}", f"/fal/run/{APP}/", f"/fal/run/queue/{APP}"]


async def called(
    service: Service, path: str = PATHS[0], headers: Mapping[str, str] | None = None
) -> asyncio.Task[httpx2.Response]:
    """A call whose request is in the queue."""
    body = {"prompt": "a", "batch_size": 2}
    call = asyncio.create_task(service.client.post(path, json=body, headers=dict(headers or {})))
    await in_queue(service)
    return call


async def in_queue(service: Service) -> None:
    await until(service.queued)


async def id_in(log_lines: list[Any]) -> str:
    """Of the request that was submitted."""
    ids = await until(lambda: [line["request_id"] for line in log_lines if line["event"] == "request.submitted"])
    return str(ids[0])


@pytest.mark.parametrize("path", PATHS)
async def test_the_response_is_the_result(service: Service, path: str) -> None:
    """It comes when the request has ended, is the same as the queue's, and names the request."""
    call = await called(service, path)
    assert not call.done()
    await service.succeed(await service.claim())
    response = await call

    result = await service.client.get(service.result_path(response.headers["x-fal-request-id"]))
    assert 200 == response.status_code
    assert result.json() == response.json()
    assert 2 == len(response.json()["images"])


async def test_a_failure_is_the_response(service: Service) -> None:
    """A request that ends badly has its own status code and reason."""
    call = await called(service)
    await service.fail(await service.claim(), FailureKind.INVALID_INPUT, "No images of this.")
    response = await call

    assert (422, "No images of this.") == (response.status_code, response.json()["message"])


async def test_bad_calls_are_refused_at_once(service: Service) -> None:
    """Input, app and key are looked at before anything waits."""
    refused = await service.client.post(PATHS[0], json={"heigth": 64})
    unknown = await service.client.post("/fal/run/queue/no-such-app", json={"prompt": "a"})
    stranger = await service.client.post(PATHS[0], json={"prompt": "a"}, headers={"Authorization": "Bearer x"})

    assert [422, 404, 401] == [refused.status_code, unknown.status_code, stranger.status_code]
    assert 0 == await service.queued()


async def test_a_call_with_a_key_finds_its_request_again(service: Service) -> None:
    """Made again with the same `Idempotency-Key`, it waits for the first one's request, and gets the same result."""
    headers = {"Idempotency-Key": "k"}
    calls = [
        asyncio.create_task(service.client.post(PATHS[0], json={"prompt": "a"}, headers=headers)) for _ in range(2)
    ]
    await in_queue(service)
    await service.succeed(await service.claim())
    responses = [await call for call in calls]

    assert [200, 200] == [response.status_code for response in responses]
    assert responses[0].headers["x-fal-request-id"] == responses[1].headers["x-fal-request-id"]
    assert 0 == await service.queued()


async def test_it_can_be_cancelled_like_any_other(service: Service, log_lines: list[Any]) -> None:
    """A cancel by its id ends the call."""
    call = await called(service)
    request_id = await id_in(log_lines)
    assert 202 == (await service.client.put(f"{service.result_path(request_id)}/cancel")).status_code

    assert 499 == (await call).status_code


@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_call_whose_key_was_revoked_gets_no_result(service: Service, has_ended: bool) -> None:
    """Neither when the request ends right afterwards, nor after waiting for its end; the request itself continues."""
    call = await called(service)
    lease = await service.claim()
    await service.store.api_keys.revoke(await service.id_of(service.key), service.clock.now())
    if has_ended:
        await service.succeed(lease)
    response = await asyncio.wait_for(call, 2.5)

    assert 401 == response.status_code
    assert "revoked" in response.json()["message"]
    job = await service.store.jobs.get(lease.job.id)
    assert job is not None
    assert (JobState.SUCCEEDED if has_ended else JobState.RUNNING) is job.state


@pytest.mark.parametrize("has_begun", [False, True])
async def test_who_hangs_up_is_not_waited_for(
    service: Service, app: FastAPI, log_lines: list[Any], has_begun: bool
) -> None:
    """The request of a client that disconnects is cancelled, unless it has started: then it is finished."""
    hung_up = asyncio.Event()
    messages = [{"type": "http.request", "body": b'{"prompt": "a"}', "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not messages:
            await hung_up.wait()
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(_: object) -> None:
        pass

    headers = [(b"authorization", f"Bearer {service.key}".encode()), (b"host", b"pipelet.test")]
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": PATHS[0],
        "query_string": b"",
        "headers": headers,
    }
    call = asyncio.create_task(app(scope, receive, send))
    await in_queue(service)
    if has_begun:
        await service.claim()
    hung_up.set()
    await asyncio.wait_for(call, 5)

    request_id = await id_in(log_lines)
    status = (await service.client.get(service.status_path(request_id))).json()["status"]
    assert ("IN_PROGRESS" if has_begun else "COMPLETED") == status


@pytest.mark.parametrize(
    ("key", "has_begun", "code", "state"),
    [(None, False, 503, "COMPLETED"), (None, True, 500, "IN_PROGRESS"), ("k", False, 503, "IN_QUEUE")],
    ids=["waits", "has begun", "has a key"],
)
async def test_a_service_that_stops_has_nothing_generated_twice(
    service: Service, app: FastAPI, key: str | None, has_begun: bool, code: int, state: str
) -> None:
    """Calls that wait get a response at once, with the id. What clients make again is cancelled, or known by its
    key."""
    call = await called(service, headers={} if key is None else {"Idempotency-Key": key})
    if has_begun:
        await service.claim()
    app.state.dependencies.status_feed.close()
    response = await asyncio.wait_for(call, 5)

    request_id = response.headers["x-fal-request-id"]
    assert (code, "service_stops") == (response.status_code, response.headers["x-fal-error-type"])
    assert request_id in response.json()["message"]
    assert state == (await service.client.get(service.status_path(request_id))).json()["status"]
