"""The usage ledger survives the death of processes."""

from pathlib import Path

import pytest
from benchmarks.resilience import ledger

from tests.support import databases
from tests.support.servers.postgres import Server


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_ledger_has_what_the_requests_cost(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A process that ends requests, and adds up, is killed at random moments: no end is lost, and none counts twice."""
    if dialect == "sqlite":
        databases.new_sqlite(tmp_path)
        database = str(tmp_path / "pipelet.sqlite")
    else:
        server: Server = request.getfixturevalue("postgres_server")
        database = databases.new_postgres_url(server)

    ended, faults = ledger.measure(database, kills=6, seed=20261130)

    assert [] == faults
    assert ended > 0
