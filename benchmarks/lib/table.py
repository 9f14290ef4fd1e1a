"""One table a benchmark: what was measured, what it is held against in the same run, the goal, and if it is met."""

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from rich import box
from rich.console import Console
from rich.table import Table

RATIOS = "BENCHMARK_RATIOS"
"""Environment variable: a file to which `show` adds its ratios, one JSON object a line, for `benchmarks.check`."""
_PACKAGES = ("uvicorn", "fastapi", "torch", "diffusers")


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure that does not depend on the machine: `value` against something else that the same run measured."""

    value: float
    higher_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """`met` is None for a figure that has no goal, `ratio` for one that `benchmarks.check` does not guard."""

    what: str
    value: str
    reference: str = ""
    """The ratio within this run, and to what."""
    goal: str = ""
    met: bool | None = None
    ratio: Ratio | None = None


def show(title: str, lines: Sequence[Line], *, load: float, notes: Sequence[str] = ()) -> None:
    """Print the table, and hand the ratios to `benchmarks.check` where that runs the benchmark.

    Args:
        load: load average before the benchmark began: with others at work, times are theirs, too.
    """
    if file := os.environ.get(RATIOS):
        with open(file, "a") as ratios:
            for line in lines:
                if line.ratio is not None:
                    ratios.write(json.dumps({"what": line.what, **asdict(line.ratio)}) + "\n")
    machine = f"{os.cpu_count()} cores, load {load:.1f} at the start, Python {platform.python_version()}"
    table = Table(title=title, caption="\n".join([*notes, f"{machine}, {revisions()}"]), box=box.SIMPLE_HEAD)
    table.title_justify = table.caption_justify = "left"
    for heading in ("", "measured", "reference", "goal", ""):
        table.add_column(heading, overflow="fold")
    for line in lines:
        verdict = {True: "[green]met", False: "[red]missed", None: ""}[line.met]
        table.add_row(line.what, line.value, line.reference, line.goal, verdict)
    # Where there is no terminal, the width of a page.
    Console(width=None if os.isatty(1) else 120, highlight=False).print(table)


def load_now() -> float:
    return os.getloadavg()[0]


def revisions() -> str:
    return ", ".join([f"SQLite {sqlite3.sqlite_version}", *filter(None, map(_version, _PACKAGES))])


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; `share` from 0 to 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def in_ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"


def in_us(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"
