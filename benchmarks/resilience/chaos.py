"""Three APIs, four workers, PostgreSQL and an S3 server, disturbed a thousand times, and what went wrong counted.

    python -m benchmarks.resilience.chaos --times 1000

One of the workers has a clock that is seven minutes ahead. The goal is a zero under "broken promises"; exits with 1
where there is any.
"""

import asyncio
import sys
import time

import cyclopts
from rich.console import Console
from rich.live import Live
from rich.table import Table
from tests.support.chaos import SEVEN_MINUTES_AHEAD, inject_faults
from tests.support.cluster import Cluster
from tests.support.users import Report

from benchmarks.lib.service import scratch


def main(*, times: int = 60, seed: int = 1) -> None:
    """
    Parameters
    ----------
    times
        Disturbances in all.
    seed
        Chooses their moments and kinds.
    """
    end(measure(times=times, seed=seed))


def measure(*, times: int, seed: int) -> Report:
    began = time.monotonic()
    with (
        scratch() as folder,
        Cluster(folder, skewed=SEVEN_MINUTES_AHEAD) as cluster,
        Live(console=Console(stderr=True), refresh_per_second=1) as live,
    ):
        report, calm_after = asyncio.run(
            inject_faults(cluster, times=times, seed=seed, tell=lambda now: live.update(table(now)))
        )
    result = table(report)
    result.caption = (
        f"{time.monotonic() - began:.0f} s, seed {seed}; all had ended {calm_after:.1f} s after the last blow"
    )
    Console().print(result)
    return report


def end(report: Report) -> None:
    """Print what went wrong, and exit with 1 where anything did."""
    for fault in report.faults:
        print(fault)
    sys.exit(1 if report.faults or report.accepted != report.ended else 0)


def table(report: Report) -> Table:
    drawn = Table("what happened", "times", title="Disturbed at random moments")
    for kind, times in sorted(report.disturbances.items()):
        drawn.add_row(kind, str(times))
    drawn.add_section()
    drawn.add_row("requests accepted", str(report.accepted))
    drawn.add_row("ended once, with the right pictures", str(report.completed))
    drawn.add_row("cancelled, and stayed so", str(report.cancelled))
    drawn.add_row("failed after three lost attempts", str(report.exhausted))
    drawn.add_row("needed more than one attempt", str(report.retried))
    drawn.add_row("submits refused for the moment, or answer lost", str(report.lost_answers))
    drawn.add_row("broken promises", str(len(report.faults)))
    return drawn


if __name__ == "__main__":
    cyclopts.run(main)
