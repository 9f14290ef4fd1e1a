"""What a call comes to whose client leaves, or calls again, or whose service stops."""

import asyncio

import pytest
from fastapi import FastAPI

from pipelet.domain.jobs.job import JobState
from pipelet.domain.jobs.outcome import Cancelled, CancelledBy
from tests.api.openai.calls import GENERATIONS, PROMPT, called, error_of, job_of, streaming
from tests.api.service import Service
from tests.api.streams import serving
from tests.support.waiting import until

FILE = bytes(range(256)) * 16384


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize("key", ["", "k"])
async def test_who_hangs_up_cancels(service: Service, url: str, has_begun: bool, key: str) -> None:
    """Also a request that has started, since its client cannot read the result; with an idempotency key, it can."""
    _, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    body = b'{"prompt": "a"}'
    head = f"POST {GENERATIONS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {service.key}\r\n"
    head += f"Content-Length: {len(body)}\r\n" + (f"Idempotency-Key: {key}\r\n" if key else "") + "\r\n"
    writer.write(head.encode() + body)
    await until(service.queued)
    [item] = (await service.client.get("/api/v1/requests")).json()["items"]
    lease = await service.claim() if has_begun else None
    writer.close()

    if key:
        again = await service.client.get(f"/api/v1/requests/{item['id']}")
        assert again.json()["state"] in ("queued", "running")
        return

    async def is_cancelled() -> bool:
        if lease is not None:
            signals = await service.store.leases.list_signals(lease.worker, service.clock.now())
            return any(each.is_cancelled for each in signals.values())
        job = await service.store.jobs.get(item["id"])
        return job is not None and job.state is JobState.CANCELLED

    await until(is_cancelled)
    if lease is not None:
        await service.store.leases.finish(lease, Cancelled(()), service.clock.now())
    ended = (await service.client.get(f"/api/v1/requests/{item['id']}")).json()
    assert ("connection", "Request cancelled because its client closed the connection.") == (
        ended["cancelled_by"],
        ended["error"],
    )


async def test_who_leaves_while_the_result_is_sent_leaves_nothing_behind(service: Service, url: str) -> None:
    """The file is read no further, and the connection counts no longer."""
    limiter = service.app.state.dependencies.connection_limiter
    reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    body = b'{"prompt": "a", "n": 4}'
    head = f"POST {GENERATIONS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {service.key}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await until(service.queued)
    await service.succeed(await service.claim(), data=FILE)
    assert b"200 OK" in await reader.readline()
    assert 1 == limiter._all
    writer.transport.abort()

    await until(lambda: limiter._all == 0)


async def test_a_repeated_call_finds_its_request(service: Service) -> None:
    """With the same `Idempotency-Key` it waits for the first one's request, and gets the same result."""
    calls = [
        asyncio.create_task(service.client.post(GENERATIONS, json=PROMPT, headers={"Idempotency-Key": "k"}))
        for _ in range(2)
    ]
    await until(service.queued)
    await service.succeed(await service.claim())
    one, other = [await call for call in calls]

    assert one.json()["data"][0]["b64_json"] == other.json()["data"][0]["b64_json"]
    assert one.headers["x-request-id"] == other.headers["x-request-id"]
    assert 0 == await service.queued()


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_request_out_of_sight_is_no_result(service: Service, url: str, has_begun: bool) -> None:
    """A feed that crashes ends the calls that wait. None gets an empty result, and no stream just ends."""
    feed = service.app.state.dependencies.status_feed
    call = await called(service)
    lease = await service.claim() if has_begun else None
    await until(lambda: feed._topics)
    feed._end_streams()
    response = await call

    expected = (500, "false") if lease else (503, "true")
    assert expected == (response.status_code, response.headers["x-should-retry"]), response.text
    async with streaming(service, url) as events:
        await until(lambda: feed._topics)
        feed._end_streams()
        found = await events.rest()
    assert ["error"] == [each.name for each in found]


@pytest.mark.parametrize(("has_begun", "status", "retried"), [(False, 503, "true"), (True, 500, "false")])
async def test_a_stopping_service_tells_whether_to_retry(
    service: Service, app: FastAPI, has_begun: bool, status: int, retried: str
) -> None:
    """What waits is cancelled, and sent again by the client; what runs continues, and is not generated twice."""
    async with serving(app) as (url, server):
        call = await called(service, path=f"{url}{GENERATIONS}")
        lease = await service.claim() if has_begun else None
        server.should_exit = True
        response = await call

    assert (status, "service_stops") == (response.status_code, error_of(response)["code"])
    assert retried == response.headers["x-should-retry"]
    job = await job_of(service, response)
    assert (JobState.RUNNING if lease else JobState.CANCELLED) is job.state
    assert (None if lease else CancelledBy.SERVICE) is job.cancelled_by
