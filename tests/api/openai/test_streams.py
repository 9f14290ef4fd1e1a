"""Streams: partial images, the images, and an end that clients cannot take for another."""

import asyncio
import base64
import io
import json

import httpx2
import pytest
from fastapi import FastAPI
from PIL import Image

from pipelet.api.dependencies import StreamTimeouts
from pipelet.api.openai.partial_images import PartialImages
from pipelet.domain.generation.preview import Preview
from pipelet.domain.jobs.job import JobState, Lease
from pipelet.domain.jobs.outcome import FailureKind, Released
from pipelet.domain.jobs.progress import Progress
from tests.api.openai.calls import GENERATIONS, PROMPT, error_of, streaming
from tests.api.service import Service, build
from tests.api.streams import serving
from tests.support.images import encoded, new_image
from tests.support.jobs import make_job
from tests.support.waiting import until

PREVIEW = encoded(new_image((96, 64)), "WEBP", quality=75)
FILE = bytes(range(256)) * 1000


async def show(service: Service, lease: Lease, *, index: int = 0, step: int) -> None:
    """Store a preview as soon as a client watches."""
    service.clock.time += 0.5
    made = Preview(index=index, step=step, image=PREVIEW, made_at=service.clock.now())
    await until(lambda: service.store.previews.save(lease, made))


async def test_a_stream_has_the_images(service: Service, url: str) -> None:
    """An event for each, with its file; without `partial_images` there are no others."""
    async with streaming(service, url, n=2, seed=4, output_format="jpeg", size="320x256", quality="high") as events:
        await until(service.queued)
        lease = await service.claim()
        await service.succeed(lease, data=FILE)
        found = await events.rest()

    assert 200 == events.response.status_code
    assert events.response.headers["content-type"].startswith("text/event-stream")
    assert lease.job.id == events.response.headers["x-request-id"]
    assert "quality" == events.response.headers["x-pipelet-ignored"]
    assert ["image_generation.completed"] * 2 == [each.name for each in found]
    assert [FILE, FILE] == [base64.b64decode(each.body["b64_json"]) for each in found]
    assert [(0, 4), (1, 5)] == [(each.body["image_index"], each.body["seed"]) for each in found]
    assert ("320x256", "jpeg", "opaque", "auto") == tuple(
        found[0].body[name] for name in ("size", "output_format", "background", "quality")
    )
    assert 0 == found[0].body["usage"]["total_tokens"]
    assert int(service.clock.now()) == found[0].body["created_at"]


async def test_previews_are_partial_images(service: Service, url: str) -> None:
    """While the image is generated, with their own size and format."""
    async with streaming(service, url, partial_images=1, num_inference_steps=8) as events:
        await until(service.queued)
        lease = await service.claim()
        await show(service, lease, step=4)
        partial = await events.next()
        await service.succeed(lease)
        rest = await events.rest()

    body = partial.body
    assert ("image_generation.partial_image", 0, 0) == (
        partial.name,
        body["partial_image_index"],
        body["image_index"],
    )
    assert ("webp", "96x64", "opaque", "auto") == tuple(
        body[name] for name in ("output_format", "size", "background", "quality")
    )
    shown = Image.open(io.BytesIO(base64.b64decode(body["b64_json"])))
    assert ("WEBP", (96, 64)) == (shown.format, shown.size)
    assert ["image_generation.completed"] == [each.name for each in rest]


def test_partial_images_are_spread_over_the_steps() -> None:
    """At most as many as were asked for of each image, none too early; all are counted together."""
    partial_images = PartialImages(make_job(), event="image_edit", most=2, steps=9)
    steps = [(0, 2), (0, 3), (0, 4), (1, 5), (0, 6), (0, 8), (1, 6), (1, 8)]
    events = [partial_images.event(Preview(index=k, step=n, image=PREVIEW, made_at=1.0)) for k, n in steps]
    sent = [json.loads(event.partition(b"data: ")[2]) for event in events if event]

    assert [(0, 3), (1, 5), (0, 6), (1, 6)] == [each for each, event in zip(steps, events, strict=True) if event]
    assert [(0, 0), (1, 1), (2, 0), (3, 1)] == [(each["partial_image_index"], each["image_index"]) for each in sent]
    assert {"image_edit.partial_image"} == {each["type"] for each in sent}


@pytest.mark.parametrize("how", ["failed", "cancelled", "deleted", "revoked"])
async def test_a_stream_without_images_ends_with_an_error(service: Service, url: str, how: str) -> None:
    """Whatever the reason, it is told in an event that both clients raise."""
    async with streaming(service, url, partial_images=1) as events:
        await until(service.queued)
        lease = await service.claim()
        await show(service, lease, step=5)
        await events.next()
        if how == "failed":
            await service.fail(lease, FailureKind.INTERNAL, "The pipeline raised.")
        elif how == "cancelled":
            await service.fail(lease, FailureKind.CANCELLED, "Cancelled.")
        elif how == "deleted":
            await service.fail(lease, FailureKind.INTERNAL, "The pipeline raised.")
            await service.client.delete(f"/api/v1/requests/{lease.job.id}")
        else:
            await service.store.api_keys.revoke(await service.id_of(service.key), service.clock.now())
        found = await events.rest()

    assert ["error"] == [each.name for each in found]
    codes = {"failed": "internal_server_error", "cancelled": "client_cancelled", "revoked": "invalid_api_key"}
    assert found[0].body["error"]["code"] in (codes.get(how), "not_found", "internal_server_error")
    assert found[0].body["error"]["message"]


async def test_a_stream_survives_its_worker(service: Service, url: str) -> None:
    """A request whose worker is lost starts again; the partial images continue where they were."""
    async with streaming(service, url, partial_images=3, num_inference_steps=8) as events:
        await until(service.queued)
        lease = await service.claim()
        await show(service, lease, step=2)
        first = await events.next()
        assert await service.store.leases.finish(lease, Released("its worker stopped"), service.clock.now())
        lease = await service.claim()
        await show(service, lease, step=4)
        second = await events.next()
        await service.succeed(lease)
        rest = await events.rest()

    assert [0, 1] == [each.body["partial_image_index"] for each in (first, second)]
    assert ["image_generation.completed"] == [each.name for each in rest]


async def test_a_file_that_is_gone_is_an_error(service: Service, url: str) -> None:
    """Of the second image: the first one has been sent."""
    async with streaming(service, url, n=2) as events:
        await until(service.queued)
        lease = await service.claim()
        await service.succeed(lease)
        path = service.blobs._folder / "outputs/z_image_text_to_image_api"
        for file in sorted(path.iterdir())[1:]:
            file.unlink()
        found = await events.rest()

    assert ["image_generation.completed", "error"] == [each.name for each in found]
    assert "no longer stored" in found[1].body["error"]["message"]


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_stopping_service_ends_streams_with_an_error(service: Service, app: FastAPI, has_begun: bool) -> None:
    """It says whether the request continues."""
    async with serving(app) as (url, server), streaming(service, url) as events:
        await until(service.queued)
        lease = await service.claim() if has_begun else None
        server.should_exit = True
        found = await events.rest()

    assert ["error"] == [each.name for each in found]
    assert "service_stops" == found[0].body["error"]["code"]
    job = await service.store.jobs.get(events.response.headers["x-request-id"])
    assert job is not None
    assert (JobState.RUNNING if lease else JobState.CANCELLED) is job.state
    assert ("continues" if lease else "cancelled") in found[0].body["error"]["message"]


async def test_silence_is_filled_with_comments(service: Service) -> None:
    """Proxies close connections on which nothing is sent; progress is no event of this API."""
    app = service.another_api(stream_timeouts=StreamTimeouts(keepalive=0.3))
    async with serving(app) as (url, _), streaming(service, url) as events:
        await until(service.queued)
        lease = await service.claim()
        ping = asyncio.ensure_future(anext(line async for line in events._lines if line))
        done = 0
        while not ping.done():  # each report is less than the silence after the one before
            done += 1
            await service.store.leases.report_progress(lease, Progress(done, 1_000_000))
            await asyncio.wait([ping], timeout=0.1)
        assert ": ping" == ping.result()
        await service.succeed(lease)
        assert ["image_generation.completed"] == [each.name for each in await events.rest()]


async def test_who_leaves_a_stream_cancels(service: Service, url: str) -> None:
    """As who hangs up on a call that waits."""
    async with streaming(service, url) as events:
        await until(service.queued)
        request_id = events.response.headers["x-request-id"]

    async def is_cancelled() -> bool:
        job = await service.store.jobs.get(request_id)
        return job is not None and job.state is JobState.CANCELLED

    await until(is_cancelled)


async def test_bad_input_is_refused_before_the_stream(service: Service) -> None:
    """With a status, as without one."""
    response = await service.client.post(GENERATIONS, json=PROMPT | {"stream": True, "n": 0})

    assert (400, "n") == (response.status_code, error_of(response)["param"])


async def test_too_many_open_calls_are_a_429(service: Service) -> None:
    """Calls that wait count, as streams do."""
    app = build(service.store, service.blobs, service.clock, max_open_streams=2)
    headers = {"Authorization": f"Bearer {service.key}"}
    async with serving(app) as (url, _), streaming(service, url), httpx2.AsyncClient(headers=headers) as client:
        await until(service.queued)
        response = await client.post(f"{url}{GENERATIONS}", json=PROMPT)

    assert (429, "streams_limit") == (response.status_code, error_of(response)["code"])
