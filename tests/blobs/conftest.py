"""Every blob store there is, behind one fixture: a new one is finished when it passes the suite that uses it."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pipelet.blobs.disk import DiskBlobStore
from pipelet.blobs.s3 import S3BlobStore
from pipelet.domain.clock import SystemClock
from pipelet.domain.ports.blobs import BlobStore
from pipelet.store.sqlite import open_sqlite
from tests.api.service import build
from tests.support.databases import empty_sqlite
from tests.support.servers.s3 import BUCKET, KEY, SECRET, S3Server

MakeS3 = Callable[..., S3BlobStore]


class Shelf:
    """A store, and a client of its URLs that knows no key."""

    def __init__(self, blobs: BlobStore, client: httpx2.AsyncClient) -> None:
        self.blobs = blobs
        self.client = client

    def url(self, key: str) -> str:
        return self.blobs.signed_url(key, now=SystemClock().now(), base_url="http://pipelet.test")

    async def fetch(self, url: str, **headers: str) -> httpx2.Response:
        return await self.client.get(url, headers=headers)


MakeShelf = Callable[[float], Awaitable[Shelf]]


@pytest.fixture(params=["disk", "s3"])
async def make_shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MakeShelf]:
    """Of stores whose URLs are good for so many seconds."""
    async with AsyncExitStack() as open_clients:

        async def on_disk(url_ttl_seconds: float) -> Shelf:
            path = tmp_path / "pipelet.sqlite"
            path.write_bytes(empty_sqlite())
            store = open_sqlite(path)
            open_clients.callback(store.close)
            blobs = DiskBlobStore(tmp_path / "files", signing_key=os.urandom(32), url_ttl_seconds=url_ttl_seconds)
            transport = httpx2.ASGITransport(build(store, blobs, SystemClock()))
            client = httpx2.AsyncClient(transport=transport)
            return Shelf(blobs, await open_clients.enter_async_context(client))

        async def on_s3(url_ttl_seconds: float) -> Shelf:
            blobs = request.getfixturevalue("make_s3")(url_ttl_seconds=url_ttl_seconds)
            return Shelf(blobs, await open_clients.enter_async_context(httpx2.AsyncClient()))

        yield {"disk": on_disk, "s3": on_s3}[request.param]


@pytest.fixture
async def shelf(make_shelf: MakeShelf) -> Shelf:
    return await make_shelf(7200)


@pytest.fixture
def make_s3(s3_server: S3Server, tmp_path: Path) -> MakeS3:
    """A store on the running server, below a prefix that no other test has; what is named is changed."""

    def make(bucket: str = BUCKET, **changes: object) -> S3BlobStore:
        values: dict[str, Any] = {
            "prefix": f"{tmp_path.parent.name}/{tmp_path.name}",
            "region": "us-east-1",
            "endpoint": s3_server.endpoint,
            "public_endpoint": s3_server.endpoint,
            "virtual_hosted": False,
            "access_key_id": KEY,
            "secret_access_key": SECRET,
            "session_token": "",
            "url_ttl_seconds": 7200,
        }
        return S3BlobStore(bucket, **values | changes)

    return make
