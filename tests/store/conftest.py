"""Every store there is, behind one fixture: a new one is finished when it passes the suite that uses it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipelet.domain.ports import JobStore
from tests import databases
from tests.databases import Opener
from tests.postgres_server import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens a new database, any number of times, as several processes would."""
    if request.param == "sqlite":
        return databases.new_sqlite(tmp_path)
    server: Server = request.getfixturevalue("postgres_server")
    return databases.new_postgres(server)


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[JobStore]:
    async with opener() as opened:
        yield opened


@pytest.fixture
async def second_store(store: JobStore, opener: Opener) -> AsyncIterator[JobStore]:
    """The same database, as another process would have it open."""
    async with opener() as opened:
        yield opened
