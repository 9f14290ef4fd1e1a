"""An image that we generated is edited by the URL that its result named, also where the bucket is on a private
network."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from pipelet.domain.clock import SystemClock
from pipelet.domain.errors import InvalidImage
from pipelet.domain.ports.blobs import BlobStore
from pipelet.outbound import public_only_client
from pipelet.services.accounts.limit_refusals import LimitRefusals
from pipelet.services.input_images.fetch import HttpClients, ImageFetcher
from pipelet.services.input_images.uploads import Uploads
from pipelet.store.sqlite import SqliteStore, open_sqlite
from tests.blobs.conftest import MakeS3, Shelf
from tests.support.databases import empty_sqlite
from tests.support.images import png
from tests.support.jobs import make_key

KEY = "outputs/a/girl.png"
BASE = "http://pipelet.test"
DAY = 86_400.0


class Unobserved:
    def rejected(self, reason: str) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    path = tmp_path / "uploads.sqlite"
    path.write_bytes(empty_sqlite())
    opened = open_sqlite(path)
    yield opened
    opened.close()


def uploads(store: SqliteStore, blobs: BlobStore) -> Uploads:
    refusals = LimitRefusals(store.limits, store.clock, Unobserved())
    return Uploads(store, blobs, refusals, retention_seconds=30 * DAY)


async def test_an_upload_is_served_and_read_by_its_url(shelf: Shelf, store: SqliteStore) -> None:
    """From disk and from a bucket: clients fetch it as the image that it is, its user's requests read it without HTTP,
    and once it is deleted neither do."""
    service = uploads(store, shelf.blobs)
    fetcher = ImageFetcher(http_clients=None, blobs=shelf.blobs, signed_files=None, uploads=service, clock=store.clock)

    upload = await service.add(make_key(), png())
    url = service.url(upload, base_url=BASE)
    found = await shelf.fetch(url)

    assert (200, "image/png", png()) == (found.status_code, found.headers["content-type"], found.content)
    assert f'inline; filename="{upload.key.rpartition("/")[2]}"' == found.headers["content-disposition"]
    assert png() == await fetcher.read(url, user="ann", base_url=BASE)
    expired = url.partition("?")[0]  # the signature may be over before the upload
    assert png() == await fetcher.read(expired, user="ann", base_url=BASE), (
        "the signature may be over before the upload"
    )
    with pytest.raises(InvalidImage, match="no such upload"):
        await fetcher.read(url, user="bob", base_url=BASE)
    await service.delete("ann", upload.id)
    assert 404 == (await shelf.fetch(url)).status_code
    with pytest.raises(InvalidImage, match="no such upload"):
        await fetcher.read(url, user="ann", base_url=BASE)
    assert [] == await store.files.orphaned(1e12, 10)


async def test_a_file_in_our_bucket_is_read_by_its_url(make_s3: MakeS3, store: SqliteStore) -> None:
    """The server decides by the signature; outside of our files nothing is reached."""
    blobs = make_s3()
    await blobs.put(KEY, b"pixels", "image/png")
    url = blobs.signed_url(KEY, now=SystemClock().now(), base_url="")
    async with public_only_client() as public, httpx2.AsyncClient() as storage:
        http_clients = HttpClients(public=public, storage=storage)
        downloads = ImageFetcher(
            http_clients=http_clients, blobs=blobs, signed_files=None, uploads=uploads(store, blobs), clock=store.clock
        )

        assert b"pixels" == await downloads.read(url, base_url="http://pipelet.test", user="ann")
        with pytest.raises(InvalidImage, match="returned 403"):
            await downloads.read(
                url[:-1] + ("0" if url[-1] != "0" else "1"), base_url="http://pipelet.test", user="ann"
            )
        server = url.partition("/pictures/")[0]
        for other in (server + "/", url.replace("outputs/", "outputs/..%2F../"), server + "/secrets/" + KEY):
            with pytest.raises(InvalidImage, match="not on the public internet"):
                await downloads.read(other, base_url="http://pipelet.test", user="ann")
