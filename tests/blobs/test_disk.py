"""What files on disk do besides what all stores do."""

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.errors import BlobStoreError, InvalidKey
from tests.support.disks import filled, small_disk

KEY = "outputs/z_image_text_to_image_api/2DPBix_z_image_text_to_image__00001_.png"


def make_blobs(folder: Path) -> DiskBlobStore:
    return DiskBlobStore(folder, signing_key=b"k" * 32, url_ttl_seconds=7200)


def signed(blobs: DiskBlobStore, *, now: float = 1000.0) -> tuple[str, str]:
    query = parse_qs(urlsplit(blobs.signed_url(KEY, now=now, base_url="http://h")).query)
    return query["expires"][0], query["signature"][0]


async def test_a_file_is_fetched_by_its_url(tmp_path: Path) -> None:
    """What was stored comes back under the signed URL until its time is over."""
    blobs = make_blobs(tmp_path)
    await blobs.put(KEY, b"pixels", "image/png")
    expires, signature = signed(blobs)

    assert b"pixels" == blobs.verify(KEY, expires, signature, now=8199.0).read_bytes()
    with pytest.raises(InvalidKey, match="expired"):
        blobs.verify(KEY, expires, signature, now=8200.0)


async def test_a_changed_url_opens_nothing(tmp_path: Path) -> None:
    """Another key, a later expiry, another signature, or another service's URL are refused."""
    blobs = make_blobs(tmp_path)
    await blobs.put(KEY, b"pixels", "image/png")
    expires, signature = signed(blobs)
    stranger = DiskBlobStore(tmp_path, signing_key=b"x" * 32, url_ttl_seconds=7200)

    for changed in [
        (KEY.replace("00001", "00002"), expires, signature),
        (KEY, str(int(expires) + 1), signature),
        (KEY, expires, signature[:-1] + ("0" if signature[-1] != "0" else "1")),
        (KEY, *signed(stranger)),
        (KEY, "later", signature),
        ("../../etc/passwd", expires, signature),
        ("é\ud800", expires, "é"),
    ]:
        with pytest.raises(InvalidKey):
            blobs.verify(*changed, now=1000.0)


async def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path) -> None:
    """When the disk is full nothing is served and nothing is left; once there is space, storing works again."""
    with small_disk(tmp_path / "disk") as disk:
        blobs = make_blobs(disk / "files")
        with filled(disk):
            with pytest.raises(BlobStoreError, match="is full"):
                await blobs.put(KEY, os.urandom(100_000), "image/png")
            with pytest.raises(BlobStoreError, match="is full"):
                await blobs.check()
            assert [] == [path for path in (disk / "files").rglob("*") if path.is_file()]

        await blobs.check()
        await blobs.put(KEY, b"pixels", "image/png")
        assert blobs.verify(KEY, *signed(blobs), now=1000.0).is_file()
