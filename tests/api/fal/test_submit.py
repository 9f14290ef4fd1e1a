"""POST /fal/queue/{app}."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.generation.image import ImageSpec, OutputFormat
from pipelet.domain.jobs.job import Job
from pipelet.store.sqlite import SqliteStore
from tests.api.service import Service, build
from tests.support.jobs import APP, FakeClock

URL = f"/fal/queue/{APP}"

SEEDS_OWN = b"""{
    "width": "3200",
    "height": "2000",
    "batch_size": 4,
    "prompt": "The girl from first image is playing chess with the girl from second image."
}"""


async def stored(service: Service, response: httpx2.Response) -> Job:
    assert response.status_code == 200, response.text
    job = await service.store.jobs.get(response.json()["request_id"])
    assert job is not None
    return job


async def test_seeds_own_curl(service: Service) -> None:
    """The seed's curl works as it stands: labelled a form, with numbers as texts."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = await service.client.post(URL, content=SEEDS_OWN, headers=headers)

    job = await stored(service, response)
    assert (job.spec.width, job.spec.height, job.spec.batch_size) == (3200, 2000, 4)
    assert job.user == "ada"


@pytest.mark.parametrize("label", [None, "application/json; charset=utf-8", "text/plain", "multipart/form-data", "x"])
async def test_any_label(service: Service, label: str | None) -> None:
    """The body is JSON whatever it is called."""
    headers = {} if label is None else {"Content-Type": label}
    response = await service.client.post(URL, content=b'{"prompt": "a+b=c&d %41"}', headers=headers)

    assert (await stored(service, response)).spec.prompt == "a+b=c&d %41"


async def test_response(service: Service) -> None:
    """The response has the id, its three URLs under the called app, and the other fields that fal's clients read."""
    await service.submit()
    response = await service.client.post(URL, json={"prompt": "a"})

    request_id = response.json()["request_id"]
    url = f"http://pipelet.test{URL}/requests/{request_id}"
    assert response.json() == {
        "request_id": request_id,
        "gateway_request_id": request_id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "status": "IN_QUEUE",
        "queue_position": 1,
        "logs": None,
        "metrics": {},
    }
    assert response.headers["x-fal-request-id"] == request_id
    assert response.headers["content-type"] == "application/json"


async def test_defaults(service: Service) -> None:
    """What is not said, or null, is the app's default, and the seed is generated."""
    responses = [
        await service.client.post(URL, json={"prompt": "a"}),
        await service.client.post(URL, json={"prompt": "a", "width": None, "seed": None, "priority": None}),
    ]

    jobs = [await stored(service, response) for response in responses]
    for job in jobs:
        assert job.priority == 0
        assert job.estimated_seconds > 0
        assert job.spec == ImageSpec(
            prompt="a",
            negative_prompt=None,
            width=1024,
            height=1024,
            batch_size=1,
            seed=job.spec.seed,
            num_inference_steps=8,
            guidance_scale=1.5,
            output_format=OutputFormat.PNG,
        )
    assert jobs[0].spec.seed != jobs[1].spec.seed


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"width": "64"}, lambda job: job.spec.width == 64),
        ({"width": 4096.0}, lambda job: job.spec.width == 4096),
        ({"height": "+65"}, lambda job: job.spec.height == 65),
        ({"batch_size": "16"}, lambda job: job.spec.batch_size == 16),
        ({"priority": "-5"}, lambda job: job.priority == -5),
        ({"priority": 2**31 - 1}, lambda job: job.priority == 2**31 - 1),
        ({"priority": str(-(2**31))}, lambda job: job.priority == -(2**31)),
        ({"seed": 2**53 - 1, "batch_size": 16}, lambda job: job.spec.seed == 2**53 - 1),
        ({"seed": "-0"}, lambda job: job.spec.seed == 0),
        ({"num_inference_steps": "100"}, lambda job: job.spec.num_inference_steps == 100),
        ({"guidance_scale": "4.5"}, lambda job: job.spec.guidance_scale == 4.5),
        ({"guidance_scale": 20}, lambda job: job.spec.guidance_scale == 20.0),
        ({"negative_prompt": ""}, lambda job: job.spec.negative_prompt == ""),
        ({"output_format": "webp"}, lambda job: job.spec.output_format is OutputFormat.WEBP),
        ({"prompt": "zwei\r\n\tZeilen 🎨 שחמט"}, lambda job: job.spec.prompt == "zwei\r\n\tZeilen 🎨 שחמט"),
        ({"prompt": "é" * 4000}, lambda job: job.spec.prompt == "é" * 4000),
    ],
)
async def test_ways_to_say_it(service: Service, fields: dict[str, Any], read: Callable[[Job], bool]) -> None:
    """Numbers may be texts of digits or whole floats, and every field takes its extremes."""
    response = await service.client.post(URL, json={"prompt": "a", **fields})

    assert read(await stored(service, response))


async def test_byte_order_mark(service: Service) -> None:
    """A byte order mark, which some Windows programs write, does not matter."""
    response = await service.client.post(URL, content=b'\xef\xbb\xbf{"prompt": "a"}')

    assert (await stored(service, response)).spec.prompt == "a"


@pytest.mark.parametrize("path", [URL, f"{URL}/"])
async def test_trailing_slash(service: Service, path: str) -> None:
    """A trailing slash changes nothing, and is not redirected."""
    response = await service.client.post(path, json={"prompt": "a"})

    assert response.json()["response_url"].startswith(f"http://pipelet.test{URL}/requests/")


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("example.org:8443", "http://example.org:8443"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("evil/path", "http://pipelet.test"),
        ("a b", "http://pipelet.test"),
        ("", "http://pipelet.test"),
    ],
)
async def test_urls_follow_the_host(service: Service, host: str, base: str) -> None:
    """URLs name the host that was asked for, or the connection's own where that is no host."""
    response = await service.client.post(URL, json={"prompt": "a"}, headers={"Host": host})

    assert response.json()["status_url"].startswith(f"{base}/fal/queue/")


async def test_no_host_at_all(app: FastAPI, service: Service) -> None:
    """A request without a Host header, as HTTP/1.0 allows, is served."""

    async def without_host(scope: Any, receive: Any, send: Any) -> None:
        scope = scope | {"headers": [(name, value) for name, value in scope["headers"] if name != b"host"]}
        await app(scope | {"server": ("::1", 8000)}, receive, send)

    transport = httpx2.ASGITransport(without_host)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=service.client.headers) as client:
        response = await client.post(URL, json={"prompt": "a"})

    assert response.json()["status_url"].startswith("http://[::1]:8000/fal/queue/")


async def test_public_url(store: SqliteStore, blobs: DiskBlobStore, clock: FakeClock, service: Service) -> None:
    """A configured public URL wins over what the request says."""
    app = build(store, blobs, clock, public_url="https://api.pipelet.ai/")
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=service.client.headers) as client:
        response = await client.post(URL, json={"prompt": "a"})

    assert response.json()["cancel_url"].startswith(f"https://api.pipelet.ai{URL}/requests/")


async def test_position_counts_what_starts_before(service: Service) -> None:
    """A higher priority is told of fewer ahead, and the same priority of all that came before."""
    for priority in (5, 0, -5):
        await service.submit(priority=priority)

    positions = [
        (await service.client.post(URL, json={"prompt": "a", "priority": priority})).json()["queue_position"]
        for priority in (6, 5, 0, -6)
    ]

    assert positions == [0, 2, 4, 6]
