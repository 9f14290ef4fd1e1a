"""Anything at all, sent to the API behind the real server."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from benchmarks.lib.http_inputs import Maker
from benchmarks.resilience.fuzz_http import send_all

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.accounts.api_keys import ApiKey, hash_secret, new_secret
from pipelet.domain.ids import new_token
from pipelet.store.sqlite import SqliteStore, open_sqlite
from tests.api.service import build
from tests.api.streams import serving
from tests.support.databases import empty_sqlite
from tests.support.jobs import FakeClock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    path = tmp_path / "pipelet.db"
    path.write_bytes(empty_sqlite())
    store = open_sqlite(path)
    yield store
    store.close()


async def test_it_withstands_what_clients_send(
    store: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No crash, no 5xx, no response that is no HTTP. `python -m benchmarks.resilience.fuzz_http` sends far more."""
    secret = new_secret()
    await store.api_keys.add(ApiKey(id=new_token(), name="a", user="ada", hash=hash_secret(secret), created_at=0.0))
    app = build(store, DiskBlobStore(tmp_path / "files", signing_key=b"a" * 32, url_ttl_seconds=60), FakeClock())
    lines: list[Any]
    with structlog.testing.capture_logs() as lines:
        async with serving(app) as (url, _):
            maker = Maker(random.Random(2), secret, "rn5r12q9pdu6yvb3nxty")
            found = await send_all(int(url.rpartition(":")[2]), maker, 300)

    assert ([], []) == (found.server_errors, found.malformed)
    assert [] == [line for line in lines if line["log_level"] == "error"]
    assert "" == caplog.text
    assert found.statuses.total() > 300
