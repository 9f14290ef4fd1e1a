"""Kills the engine, the worker, the API or all of them, a thousand times at random moments, and counts what went wrong.

    python -m benchmarks.kill --kills 1000

The goal is a row of zeros under "broken promises". Exits with 1 where there is any.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from tests.kills import kill_at_random
from tests.service import Service
from tests.users import Report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    settings = {"lease_seconds": "2", "log_level": "error"}
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder), settings=settings) as service,
        Live(console=Console(stderr=True), refresh_per_second=1) as live,
    ):
        report = asyncio.run(
            kill_at_random(service, kills=options.kills, seed=options.seed, tell=lambda now: live.update(table(now)))
        )
    result = table(report)
    result.caption = f"{time.monotonic() - began:.0f} s, seed {options.seed}"
    Console().print(result)
    for fault in report.faults:
        print(fault)
    sys.exit(1 if report.faults or report.accepted != report.completed else 0)


def table(report: Report) -> Table:
    drawn = Table("killed", "times", title="Killed at random moments")
    for victim, times in sorted(report.disturbances.items()):
        drawn.add_row(victim, str(times))
    drawn.add_section()
    drawn.add_row("requests accepted", str(report.accepted))
    drawn.add_row("ended once, with the right pictures", str(report.completed))
    drawn.add_row("needed more than one attempt", str(report.retried))
    drawn.add_row("submits whose answer was lost", str(report.lost_answers))
    drawn.add_row("broken promises", str(len(report.faults)))
    return drawn


if __name__ == "__main__":
    main()
