"""Nothing is lost, doubled or wrong, whatever is killed."""

from benchmarks.resilience import kill

from tests.support.kills import VICTIMS


def test_whatever_is_killed_every_request_ends_once_and_right() -> None:
    """With the engine, the worker, the API or all of them killed at random moments, every accepted request ends exactly
    once, with the images that were asked for, and no file is missing or unknown."""
    report = kill.measure(kills=16, seed=20261122)

    assert [] == report.faults
    assert 16 == report.disturbances.total()
    assert set(VICTIMS) == set(report.disturbances)
    assert report.accepted == report.completed
    assert report.retried > 0
