"""What a key's limits and a paused app look like from outside."""

import asyncio
from typing import Any

import pytest

from pipelet.api.fal.description import schemas
from tests.api.service import Service
from tests.support.jobs import APP

URL = f"/fal/queue/{APP}"


async def limited(service: Service, **limits: Any) -> dict[str, str]:
    """The header with a new key."""
    return {"Authorization": f"Bearer {await service.new_key('bob', **limits)}"}


@pytest.mark.parametrize("path", [URL, f"{URL}/"])
async def test_a_reached_limit_is_a_429_that_says_what_lifts_it(
    service: Service, path: str, log_lines: list[Any]
) -> None:
    """The response has the shape of all errors, says when to come again, and is no error in the log."""
    headers = await limited(service, max_queued_images=4)
    assert 200 == (await service.client.post(path, json={"prompt": "a", "batch_size": 3}, headers=headers)).status_code

    response = await service.client.post(path, json={"prompt": "a", "batch_size": "2"}, headers=headers)

    assert 429 == response.status_code
    assert response.headers["retry-after"].isdecimal()
    assert "1" == response.headers["x-fal-needs-retry"]
    assert "queued_images_limit" == response.headers["x-fal-error-type"] == response.json()["error_type"]
    refusal = schemas.Refusal.model_validate_json(response.content, strict=True, extra="forbid")
    assert refusal.detail == refusal.message
    for word in ("queued images", "3 of at most 4", "has 2", "begun", "cancel", "operator"):
        assert word in refusal.message
    assert 1 == await service.queued()
    assert not [line for line in log_lines if line["log_level"] == "error"]


async def test_a_refusal_tells_when_there_may_be_room(service: Service) -> None:
    """From a second, where the key's request is next, to a minute, where many stand before it: the more, the later."""
    headers = await limited(service, max_queued_images=1)
    waiting = {"prompt": "a", "priority": -1}
    assert 200 == (await service.client.post(URL, json=waiting, headers=headers)).status_code

    told = []
    for others in (0, 3, 40):
        for _ in range(others):
            await service.submit(batch_size=4, num_inference_steps=50)
        refused = await service.client.post(URL, json={"prompt": "a"}, headers=headers)
        told.append(int(refused.headers["retry-after"]))

    assert 1 == told[0] < told[1] < told[2] == 60


async def test_a_key_that_runs_what_it_may_has_room_when_that_ends(service: Service) -> None:
    """Though a worker is free: what the key runs takes its time."""
    headers = await limited(service, max_queued_images=4, max_running_images=4)
    for _ in range(2):
        await service.heartbeat()
    body = {"prompt": "a", "batch_size": 4, "num_inference_steps": 50}
    for claims in (True, False):
        assert 200 == (await service.client.post(URL, json=body, headers=headers)).status_code
        if claims:
            await service.claim()
    service.clock.time += 1

    refused = await service.client.post(URL, json=body, headers=headers)

    assert 429 == refused.status_code
    assert 1 < int(refused.headers["retry-after"]) < 60


async def test_metrics_count_what_was_refused_and_what_is_paused(service: Service) -> None:
    """By the limit, and by the app."""
    headers = await limited(service, max_queued_images=1)
    for _ in range(3):
        await service.client.post(URL, json={"prompt": "a"}, headers=headers)
    await service.store.queue.pause(APP, service.clock.now())

    text = (await service.client.get("/metrics")).text

    assert 'pipelet_requests_rejected_total{reason="queued_images"} 2.0' in text
    assert f'pipelet_app_paused{{app="{APP}"}} 1.0' in text
    await service.store.queue.resume(APP)
    assert f'pipelet_app_paused{{app="{APP}"}} 0.0' in (await service.client.get("/metrics")).text


async def test_the_same_request_is_taken_later(service: Service) -> None:
    """As soon as what waited has begun or was cancelled, there is room."""
    headers = await limited(service, max_queued_images=1)
    body = {"prompt": "a"}

    codes = [(await service.client.post(URL, json=body, headers=headers)).status_code for _ in range(2)]
    lease = await service.claim()
    codes.append((await service.client.post(URL, json=body, headers=headers)).status_code)
    await service.succeed(lease)
    response = await service.client.post(URL, json=body, headers=headers)
    codes.append(response.status_code)

    assert [200, 429, 200, 429] == codes


async def test_racing_submits_never_exceed_the_limit(service: Service) -> None:
    """Of many at the same moment exactly as many are taken as there is room for; the others leave nothing behind."""
    headers = await limited(service, max_queued_images=5)

    responses = await asyncio.gather(
        *(service.client.post(URL, json={"prompt": "a"}, headers=headers) for _ in range(20))
    )

    assert [200] * 5 + [429] * 15 == sorted(response.status_code for response in responses)
    assert 5 == await service.queued()


@pytest.mark.parametrize(
    "limits", [{"max_queued_images": 3}, {"max_running_images": 3}, {"max_queued_images": 9, "max_running_images": 3}]
)
async def test_a_batch_that_never_fits_is_refused_for_good(service: Service, limits: dict[str, int]) -> None:
    """It is an error of the input, reported with all others, after which fal's clients do not retry."""
    headers = await limited(service, **limits)

    fits = await service.client.post(URL, json={"prompt": "a", "batch_size": 3}, headers=headers)
    large = await service.client.post(URL, json={"prompt": " ", "batch_size": "4"}, headers=headers)
    huge = await service.client.post(URL, json={"prompt": "a", "batch_size": 100}, headers=headers)

    assert 200 == fits.status_code
    assert 422 == large.status_code
    assert [(["body", "prompt"], "blank_prompt"), (["body", "batch_size"], "batch_ceiling")] == [
        (fault["loc"], fault["type"]) for fault in large.json()["detail"]
    ]
    assert "3 images" in large.json()["detail"][1]["msg"]
    assert "batch_ceiling" == huge.json()["detail"][0]["type"], "not the bounds of the app, which are wider"


async def test_bad_input_does_not_use_up_a_limit(service: Service) -> None:
    """What is refused for its input counts nowhere."""
    headers = await limited(service, max_queued_images=1)
    for _ in range(3):
        assert 422 == (await service.client.post(URL, json={"prompt": ""}, headers=headers)).status_code

    assert 200 == (await service.client.post(URL, json={"prompt": "a"}, headers=headers)).status_code


async def test_a_paused_app_says_why_requests_wait(service: Service) -> None:
    """It takes requests; those that wait tell of the pause, those that run do not, and it is over when it is over."""
    await service.heartbeat()
    running = await service.submit()
    await service.claim()
    await service.store.queue.pause(APP, service.clock.now())
    waiting = await service.submit()

    messages = [await _message(service, each) for each in (running, waiting)]
    await service.store.queue.resume(APP)
    service.clock.time += 1
    messages.append(await _message(service, waiting))

    assert [
        "Progress: 0/12 Tasks done",
        "Queued: 0 requests ahead. The operator has paused this app; requests wait until it is resumed",
        "Queued: 0 requests ahead",
    ] == messages


async def test_a_request_that_its_key_holds_back_says_so(service: Service) -> None:
    """The status of a blocked request says why it does not start; that of others does not. Another user who has just
    come goes first."""
    await service.heartbeat()
    headers = await limited(service, max_running_images=2)
    body = {"prompt": "a", "batch_size": 2}
    responses = [await service.client.post(URL, json=body, headers=headers) for _ in range(2)]
    held_back, other = responses[1].json()["request_id"], await service.submit()
    lease = await service.claim()

    messages = [await _message(service, held_back, headers), await _message(service, other)]
    await service.succeed(lease)
    messages.append(await _message(service, held_back, headers))

    assert [
        "Queued: 1 request ahead. The key runs as many images as it may; this begins when enough of them are done",
        "Queued: 0 requests ahead",
        "Queued: 1 request ahead",
    ] == messages


async def _message(service: Service, request_id: str, headers: dict[str, str] | None = None) -> str:
    response = await service.client.get(service.status_path(request_id), headers=headers)
    return str(response.json()["statusMessages"]["message"])
