import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import structlog
from fastapi import FastAPI

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.catalog import Catalog
from pipelet.services.input_images.fetch import HttpClients
from pipelet.store.sqlite import SqliteStore, open_sqlite
from tests.api.service import CATALOG, Service, build
from tests.api.streams import serving
from tests.support.databases import empty_sqlite
from tests.support.jobs import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    path = tmp_path / "pipelet.db"
    path.write_bytes(empty_sqlite())
    store = open_sqlite(path)
    yield store
    store.close()


@pytest.fixture
def blobs(tmp_path: Path) -> DiskBlobStore:
    return DiskBlobStore(tmp_path / "files", signing_key=os.urandom(32), url_ttl_seconds=7200)


@pytest.fixture
def catalog() -> Catalog:
    """A module with a catalog of its own has a fixture of this name."""
    return CATALOG


@pytest.fixture
def http_clients() -> HttpClients | None:
    """A module whose images come from elsewhere has a fixture of this name."""
    return None


@pytest.fixture
def app(
    store: SqliteStore, blobs: DiskBlobStore, clock: FakeClock, catalog: Catalog, http_clients: HttpClients | None
) -> FastAPI:
    return build(store, blobs, clock, catalog, http_clients=http_clients)


@pytest.fixture
async def service(app: FastAPI, store: SqliteStore, blobs: DiskBlobStore, clock: FakeClock) -> AsyncIterator[Service]:
    async with serve(app, store, blobs, clock) as service:
        yield service


@contextlib.asynccontextmanager
async def serve(app: FastAPI, store: SqliteStore, blobs: DiskBlobStore, clock: FakeClock) -> AsyncIterator[Service]:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test") as client:
        service = Service(app, store, blobs, clock, client)
        service.key = await service.new_key("ada")
        client.headers["Authorization"] = f"Bearer {service.key}"
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """For the tests of a module that leave no trace in it, such as refusals. They run on the module's event loop."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "pipelet.db").write_bytes(empty_sqlite())
    store = open_sqlite(folder / "pipelet.db")
    blobs = DiskBlobStore(folder / "files", signing_key=os.urandom(32), url_ttl_seconds=7200)
    async with serve(build(store, blobs, clock := FakeClock()), store, blobs, clock) as service:
        yield service
    store.close()


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    """Of a real server, for what needs connections."""
    async with serving(app) as (url, _):
        yield url


@pytest.fixture
def log_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        yield lines
