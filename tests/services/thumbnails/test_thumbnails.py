"""Thumbnails that are stored late, read before they are there, or deleted while they are made."""

import io
from pathlib import Path

import pytest
from PIL import Image

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.errors import NotFound
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import Store
from pipelet.services.thumbnails.encode import MAX_SIDE
from pipelet.services.thumbnails.thumbnails import Thumbnails, thumbnail_key
from tests.support.jobs import FakeClock, claim_request, make_job, success

NOW = 1_000_000.0


@pytest.fixture
def clock(store: Store) -> FakeClock:
    clock = FakeClock()
    store.clock = clock
    return clock


@pytest.fixture
def blobs(tmp_path: Path) -> DiskBlobStore:
    return DiskBlobStore(tmp_path / "files", signing_key=b"k" * 32, url_ttl_seconds=60)


async def finished(store: Store, blobs: DiskBlobStore, image_format: str = "PNG") -> Job:
    await store.jobs.submit(make_job())
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    key = f"outputs/{lease.job.id}.png"
    await store.files.reserve(lease, [key])
    file = io.BytesIO()
    Image.new("RGB", (900, 300), "red").save(file, image_format)
    await blobs.put(key, file.getvalue(), "image/png")
    await store.leases.finish(lease, success(key), NOW)
    job = await store.jobs.get(lease.job.id)
    assert job is not None
    return job


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
async def test_a_missing_one_is_made_at_the_first_read(
    store: Store, blobs: DiskBlobStore, clock: FakeClock, image_format: str
) -> None:
    """It is stored and counts as stored by its user, so that the second read only reads; an image that is not there has
    none."""
    job = await finished(store, blobs, image_format)
    thumbnails, before = Thumbnails(store, blobs), (await store.limits.quota(job.user)).stored_bytes

    first = await thumbnails.read(job, 0)

    assert before + len(first) == (await store.limits.quota(job.user)).stored_bytes
    with Image.open(io.BytesIO(first)) as small:
        assert ("WEBP", MAX_SIDE, 107) == (small.format, small.width, small.height)
    assert first == await blobs.get(thumbnail_key(job.id, 0))
    await blobs.delete(job.images[0].key)
    assert first == await thumbnails.read(job, 0)
    assert [] == await store.files.orphaned(NOW * 2, 10)
    for number in (-1, 1):
        with pytest.raises(NotFound):
            await thumbnails.read(job, number)


async def test_a_delete_in_between_leaves_no_file(
    store: Store, blobs: DiskBlobStore, clock: FakeClock, tmp_path: Path
) -> None:
    """Whether the request is deleted before the file is noted, or while it is written."""
    thumbnails, key = Thumbnails(store, blobs), ""
    job, other = await finished(store, blobs), await finished(store, blobs)
    await store.history.delete(job.id, NOW)
    await thumbnails.save(job.id, 0, b"webp")

    key = thumbnail_key(other.id, 0)
    assert await store.files.note_thumbnail(other.id, key, 100, NOW + 600)
    await blobs.put(key, b"webp", "image/webp")
    await store.history.delete(other.id, NOW)
    assert not await store.files.confirm_thumbnail(other.id, key)
    assert key in await store.files.orphaned(NOW + 600, 10)

    third = await finished(store, blobs)
    original = blobs.put

    async def put(key: str, data: bytes, content_type: str) -> None:
        await original(key, data, content_type)
        await store.history.delete(third.id, NOW)

    blobs.put = put  # type: ignore[method-assign]
    await thumbnails.save(third.id, 0, b"webp")
    assert not (tmp_path / "files" / thumbnail_key(third.id, 0)).exists()
    assert thumbnail_key(third.id, 0) not in await store.files.orphaned(NOW * 2, 10)


async def test_two_that_make_it_at_once(store: Store, blobs: DiskBlobStore, clock: FakeClock) -> None:
    """Both may write it, and it stays; what a process that died has noted is taken over."""
    job = await finished(store, blobs)
    key = thumbnail_key(job.id, 0)

    assert await store.files.note_thumbnail(job.id, key, 100, NOW + 600)
    assert await store.files.note_thumbnail(job.id, key, 100, NOW + 700)
    assert await store.files.confirm_thumbnail(job.id, key)
    assert await store.files.confirm_thumbnail(job.id, key)
    assert not await store.files.note_thumbnail(job.id, key, 100, NOW + 800)
    assert [] == await store.files.orphaned(NOW * 2, 10)
