"""Every store there is, behind one fixture: a new one is finished when it passes the suite that uses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelet.domain.ports import JobStore
from pipelet.store.migrations.run import migrate_sqlite
from pipelet.store.sqlite import open_sqlite


@pytest.fixture(params=["sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobStore]:
    path = tmp_path / "pipelet.sqlite"
    migrate_sqlite(path)
    opened = open_sqlite(path)
    yield opened
    opened.close()


@pytest.fixture
async def second_store(store: JobStore, tmp_path: Path) -> Iterator[JobStore]:
    """The same database, as another process would have it open."""
    opened = open_sqlite(tmp_path / "pipelet.sqlite")
    yield opened
    opened.close()
