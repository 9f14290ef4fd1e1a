"""Nothing is lost, doubled or wrong, whatever is killed."""

from pathlib import Path

import pytest

from tests.kills import VICTIMS, kill_at_random
from tests.service import Service


@pytest.mark.parametrize(("database", "kills"), [("sqlite", 36), ("postgresql", 24)])
async def test_whatever_is_killed_every_request_ends_once_and_right(
    tmp_path: Path, database: str, kills: int, request: pytest.FixtureRequest
) -> None:
    """With the engine, the worker, the API or all of them killed at random moments, every accepted request ends exactly
    once, with the pictures that were asked for, and no file is missing or unknown."""
    settings = {"lease_seconds": "2", "log_level": "warning"}
    if database == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgres_server").new_database()
    with Service(tmp_path, settings=settings) as service:
        report = await kill_at_random(service, kills=kills, seed=20261122)

    assert [] == report.faults
    assert kills == report.disturbances.total()
    assert set(VICTIMS) == set(report.disturbances)
    assert report.accepted == report.completed
    assert report.retried > 0
