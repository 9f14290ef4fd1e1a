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
from tests.kills import kill_at_random
from tests.service import Service

from benchmarks.chaos import table


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


if __name__ == "__main__":
    main()
