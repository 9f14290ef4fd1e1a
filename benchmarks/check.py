"""Whether any benchmark has become worse: its ratios, measured in short runs, against the recorded ones.

    python -m benchmarks check             # exits with 1 where one is worse than recorded by more than its noise
    python -m benchmarks check --record    # measures three times and writes benchmarks/baseline.json

A ratio compares two figures of one run, so it carries over from machine to machine and from hour to hour, as far as its
noise allows. That is the spread of the three recorded runs, and at least 25 %. A benchmark that fails is run once more,
and only what fails twice counts.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cyclopts
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.catalog import ALL, Benchmark
from benchmarks.lib.table import RATIOS, Ratio, median

_BASELINE = Path(__file__).with_name("baseline.json")
_MIN_NOISE = 0.25
_RUNS = 3
_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """A ratio as several runs gave it."""

    value: float
    """Median of the runs."""
    noise: float
    """How much worse than `value` a run may be, as a share of it."""
    higher_is_better: bool

    @classmethod
    def of(cls, ratios: Sequence[Ratio]) -> "Recorded":
        values = [ratio.value for ratio in ratios]
        middle = median(values)
        spread = (max(values) - min(values)) / middle if middle else 0.0
        return cls(round(middle, 4), round(max(_MIN_NOISE, spread), 2), ratios[0].higher_is_better)

    @property
    def bound(self) -> float:
        """The worst value that passes."""
        return self.value / (1 + self.noise) if self.higher_is_better else self.value * (1 + self.noise)

    def allows(self, ratio: Ratio) -> bool:
        return ratio.value >= self.bound if self.higher_is_better else ratio.value <= self.bound


@dataclass(frozen=True, slots=True)
class Run:
    """One short run of a benchmark."""

    ratios: dict[str, Ratio]
    tables: str = ""
    problem: str = ""
    """Why it failed, where it did."""


def command(arguments: Sequence[str]) -> int:
    """The exit code of `python -m benchmarks check` with these arguments."""
    code = cyclopts.App(name="check", result_action="return_value")
    code.default(check)
    return int(code(arguments) or 0)


def check(*names: str, record: bool = False) -> int:
    """Run the benchmarks short, and compare their ratios with the recorded ones.

    Parameters
    ----------
    names
        Benchmarks; without a name, all of them.
    record
        Measure three times, record the ratios, and print the tables of the last time. Do nothing else on the machine.
    """
    chosen = [benchmark for benchmark in ALL if not names or benchmark.name in names]
    baseline = json.loads(_BASELINE.read_text()) if _BASELINE.exists() else {}
    began = time.monotonic()
    if record:
        problems = list(_record(chosen, baseline))
        _BASELINE.write_text(json.dumps(baseline, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    else:
        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("", "measured", "recorded", "worst that passes", ""):
            table.add_column(heading, overflow="fold")
        problems = [problem for benchmark in chosen for problem in _compare(benchmark, baseline, table)]
        Console(width=None if os.isatty(1) else 120, highlight=False).print(table)
    for problem in problems:
        print(problem)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if problems else 0


def _record(chosen: Sequence[Benchmark], baseline: dict[str, dict[str, object]]) -> Iterator[str]:
    for benchmark in chosen:
        runs = [_run(benchmark) for _ in range(_RUNS)]
        print(f"`python {' '.join(benchmark.command(benchmark.short))}`\n{runs[-1].tables}", flush=True)
        yield from (run.problem for run in runs if run.problem)
        whats = [what for what in runs[0].ratios if all(what in run.ratios for run in runs)]
        baseline[benchmark.name] = {what: asdict(Recorded.of([run.ratios[what] for run in runs])) for what in whats}


def _compare(benchmark: Benchmark, baseline: dict[str, dict[str, dict[str, object]]], table: Table) -> list[str]:
    """Return what is wrong in the last of at most two runs."""
    recorded = {what: Recorded(**fields) for what, fields in baseline.get(benchmark.name, {}).items()}  # type: ignore[arg-type]
    for _ in range(2):
        run = _run(benchmark)
        problems = _problems(benchmark, recorded, run)
        if not problems:
            break
    for what, ratio in run.ratios.items():
        past = recorded.get(what)
        told = (f"{past.value:.3g}", f"{past.bound:.3g}") if past else ("", "")
        verdict = "" if past is None else "[green]passed" if past.allows(ratio) else "[red]worse"
        table.add_row(f"{benchmark.name}: {what}", f"{ratio.value:.3g}", *told, verdict)
    return problems


def _problems(benchmark: Benchmark, recorded: dict[str, Recorded], run: Run) -> list[str]:
    problems = [run.problem] if run.problem else []
    for what, past in recorded.items():
        ratio = run.ratios.get(what)
        if ratio is None:
            problems.append(f"{benchmark.name}: {what} was not measured. Record again if it was renamed.")
        elif not past.allows(ratio):
            problems.append(f"{benchmark.name}: {what} is {ratio.value:.3g}, recorded {past.value:.3g}.")
    if run.ratios.keys() - recorded.keys():
        problems.append(f"{benchmark.name}: not all of its ratios are recorded. Run: benchmarks check --record")
    return problems


def _run(benchmark: Benchmark) -> Run:
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as file:
        environment = os.environ | {RATIOS: file.name}
        try:
            ended = subprocess.run(
                [sys.executable, *benchmark.command(benchmark.short)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return Run({}, problem=f"{benchmark.name} did not end within {_TIMEOUT:.0f} s.")
        lines = [json.loads(line) for line in file]
    ratios = {line.pop("what"): Ratio(**line) for line in lines}
    failed = f"{benchmark.name} failed with exit code {ended.returncode}:\n{ended.stdout[-2000:]}"
    return Run(ratios, ended.stdout, failed if ended.returncode else "")
