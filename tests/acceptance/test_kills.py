"""Nothing is lost, doubled or wrong, whatever is killed."""

from pathlib import Path

from tests.kills import VICTIMS, kill_at_random
from tests.service import Service


async def test_whatever_is_killed_every_request_ends_once_and_right(tmp_path: Path) -> None:
    """With the engine, the worker, the API or all of them killed at random moments, every accepted request ends exactly
    once, with the pictures that were asked for, and no file is missing or unknown."""
    with Service(tmp_path, settings={"lease_seconds": "2", "log_level": "warning"}) as service:
        report = await kill_at_random(service, kills=16, seed=20261122)

    assert [] == report.faults
    assert 16 == report.disturbances.total()
    assert set(VICTIMS) == set(report.disturbances)
    assert report.accepted == report.completed
    assert report.retried > 0
