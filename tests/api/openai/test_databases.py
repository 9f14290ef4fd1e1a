"""What of this API is kept in a database, on each of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.generation.preview import Preview
from pipelet.domain.jobs.job import JobState
from tests.api.openai.calls import EDITS, called, job_of, streaming
from tests.api.service import Service, build
from tests.api.streams import serving
from tests.support.databases import Opener
from tests.support.images import data_uri, encoded, new_image, png
from tests.support.jobs import EDIT, FakeClock, claim_request
from tests.support.waiting import until

PREVIEW = encoded(new_image((96, 64)), "WEBP", quality=75)


@pytest.fixture
async def service(opener: Opener, tmp_path: Path) -> AsyncIterator[Service]:
    blobs = DiskBlobStore(tmp_path / "files", signing_key=b"k" * 32, url_ttl_seconds=7200)
    async with opener() as store:
        app = build(store, blobs, clock := FakeClock())
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test") as client:
            service = Service(app, store, blobs, clock, client)  # type: ignore[arg-type]
            client.headers["Authorization"] = f"Bearer {await service.new_key('ada')}"
            service.key = client.headers["Authorization"].removeprefix("Bearer ")
            yield service


async def test_calls_are_requests_of_the_queue(service: Service) -> None:
    """An edit with a quality, which its worker gets; a stream with a partial image; and a cancel by hang-up."""
    fields = {"image": data_uri(png()), "output_format": "webp", "output_compression": 30, "n": 2}
    call = await called(service, fields, path=EDITS)
    lease = await service.store.leases.claim(claim_request(EDIT, now=service.clock.now(), seconds=60))
    assert lease is not None
    await service.succeed(lease, data=b"webp bytes")
    response = await call
    assert (200, 2) == (response.status_code, len(response.json()["data"]))
    assert (30, 1) == (lease.job.spec.output_quality, len(lease.job.spec.input_images))
    assert 30 == (await job_of(service, response)).spec.output_quality

    async with serving(service.app) as (url, _):
        async with streaming(service, url, partial_images=1) as events:
            await until(service.queued)
            lease = await service.claim()
            service.clock.time += 0.5
            made = Preview(index=0, step=5, image=PREVIEW, made_at=service.clock.now())
            await until(lambda: service.store.previews.save(lease, made))
            assert "image_generation.partial_image" == (await events.next()).name
            request_id = events.response.headers["x-request-id"]

        async def is_stopping() -> bool:
            signals = await service.store.leases.list_signals(lease.worker, service.clock.now())
            return any(each.is_cancelled for each in signals.values())

        await until(is_stopping)
    job = await service.store.jobs.get(request_id)
    assert job is not None
    assert JobState.RUNNING is job.state  # until its worker has stopped
