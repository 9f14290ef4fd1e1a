"""Many machines: nothing is lost, doubled, wrong or stuck, whatever happens to any of them."""

from benchmarks.resilience import chaos

from tests.support.chaos import FAULTS


def test_a_cluster_keeps_every_promise_whatever_happens() -> None:
    """While APIs, workers and engines are killed, workers stand still for longer than their leases, one has a wrong
    clock, and database and S3 server come and go, every accepted request ends exactly once with the images that were
    asked for, what was cancelled stays so, whichever API is asked, and no file is missing or unknown."""
    report = chaos.measure(times=16, seed=20261125)

    assert [] == report.faults
    assert set(FAULTS) == set(report.disturbances)
    assert report.accepted == report.ended
    assert report.completed > 16
    assert report.cancelled > 0
    assert report.retried > 0
