"""Kills the engine, the worker, the API or all of them, a thousand times at random moments, and counts what went wrong.

    python -m benchmarks.resilience.kill --kills 1000

The goal is a row of zeros under "broken promises". Exits with 1 where there is any.
"""

import asyncio
import time

import cyclopts
from rich.console import Console
from rich.live import Live
from tests.support.kills import kill_at_random
from tests.support.service import Service
from tests.support.users import Report

from benchmarks.lib.service import scratch
from benchmarks.resilience.chaos import end, table


def main(*, kills: int = 30, seed: int = 1) -> None:
    """
    Parameters
    ----------
    kills
        Kills in all.
    seed
        Chooses the moments and the victims.
    """
    end(measure(kills=kills, seed=seed))


def measure(*, kills: int, seed: int) -> Report:
    began = time.monotonic()
    settings = {"lease_seconds": "2", "log_level": "error"}
    with (
        scratch() as folder,
        Service(folder, settings=settings) as service,
        Live(console=Console(stderr=True), refresh_per_second=1) as live,
    ):
        report = asyncio.run(kill_at_random(service, kills=kills, seed=seed, tell=lambda now: live.update(table(now))))
    result = table(report)
    result.caption = f"{time.monotonic() - began:.0f} s, seed {seed}"
    Console().print(result)
    return report


if __name__ == "__main__":
    cyclopts.run(main)
