"""Every store behind one fixture: a new store is complete when it passes the suite that uses it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pipelet.domain.ports.store import Store
from tests.support import databases
from tests.support.databases import Opener
from tests.support.servers.postgres import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens an empty database, any number of times, as several processes do. Tests leave the schema as it is."""
    if request.param == "sqlite":
        yield databases.new_sqlite(tmp_path)
        return
    server: Server = request.getfixturevalue("postgres_server")
    with databases.lent_postgres(server) as database:
        yield database.open


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    async with opener() as opened:
        yield opened


@pytest.fixture
async def second_store(store: Store, opener: Opener) -> AsyncIterator[Store]:
    """The same database, opened as by another process."""
    async with opener() as opened:
        yield opened
