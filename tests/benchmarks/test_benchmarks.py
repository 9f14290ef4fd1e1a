"""The benchmarks: each runs, and the check that none has become worse."""

import json
from pathlib import Path

import pytest
from benchmarks.catalog import ALL, Benchmark
from benchmarks.lib.table import RATIOS, Ratio

from benchmarks import check
from tests.support import browsers, fork_server
from tests.support.fork_server.children import WITH_TORCH
from tests.support.service import REPOSITORY, environment

WITH_DEMO_MODEL = {"engine", "fidelity", "previews"}
"""Names of benchmarks whose smallest run has a pipeline in it."""


def _runs_here(benchmark: Benchmark) -> bool:
    return benchmark.smoke is not None and (benchmark.name != "page" or browsers.are_wanted())


@pytest.mark.parametrize("benchmark", [each for each in ALL if _runs_here(each)], ids=lambda each: each.name)
def test_runs_at_its_smallest_counts(benchmark: Benchmark, tmp_path: Path) -> None:
    """Every benchmark comes to its end, and reports the ratios that `benchmarks check` guards."""
    file, log = tmp_path / "ratios.jsonl", tmp_path / "log"
    _, module, *arguments = benchmark.command(benchmark.smoke or "")
    with_torch = benchmark.name in WITH_DEMO_MODEL
    variables = {RATIOS: str(file), **({WITH_TORCH: "1"} if with_torch else {})}

    with log.open("w") as output:
        ended = fork_server.start(
            arguments,
            cwd=REPOSITORY,
            env=environment(variables),
            stdout=output.fileno(),
            stderr=output.fileno(),
            module=module,
            with_torch=with_torch,
        )

    assert 0 == ended.wait(), log.read_text()
    assert all(json.loads(line)["value"] >= 0 for line in file.read_text().splitlines())
    assert file.read_text()


@pytest.mark.parametrize(
    ("ratio", "is_allowed"),
    [
        (Ratio(1.29), True),
        (Ratio(1.31), False),
        (Ratio(0.1), True),
        (Ratio(1 / 1.29, higher_is_better=True), True),
        (Ratio(1 / 1.31, higher_is_better=True), False),
        (Ratio(9, higher_is_better=True), True),
    ],
)
def test_a_ratio_fails_beyond_its_noise(ratio: Ratio, is_allowed: bool) -> None:
    """Worse by more than the recorded noise fails, in the direction that is worse; better never does."""
    runs = [Ratio(value, ratio.higher_is_better) for value in (0.85, 1.0, 1.15)]

    assert is_allowed is check.Recorded.of(runs).allows(ratio)


def test_the_noise_is_at_least_a_quarter() -> None:
    """Three runs that agree by chance do not make a bound that the fourth misses."""
    assert 0.25 == check.Recorded.of([Ratio(1.0), Ratio(1.0), Ratio(1.01)]).noise
