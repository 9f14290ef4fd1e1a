"""The benchmarks, and how each is called: as `python -m benchmarks` runs it, in short, and at its smallest counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module. Called without arguments it takes its own defaults."""

    module: str
    """Below this package."""
    short: str
    """Arguments of `benchmarks check`: enough for ratios that repeat; the aim is ten minutes for all together."""
    smoke: str | None
    """Arguments of the test that every benchmark still runs; None for those that another test runs."""

    @property
    def name(self) -> str:
        return self.module.rpartition(".")[2]

    def command(self, arguments: str) -> list[str]:
        """Return the command line behind the interpreter."""
        return ["-m", f"benchmarks.{self.module}", *arguments.split()]


GRADIENT = "benchmarks.lib.backends:StampedGradient"

ALL = (
    Benchmark("startup", "--starts 5 --requests 500", "--starts 1 --requests 2"),
    Benchmark("pickup", "--requests 60", "--requests 1 --with-limits"),
    Benchmark("idle_gap", "--requests 20", "--requests 4 --cases 1"),
    Benchmark("engine", "--turns 5", "--turns 1 --sizes 256x256 --batches 1"),
    Benchmark("watching.previews", "--turns 8 --samples 200", "--turns 1 --samples 2 --batch 1"),
    Benchmark(
        "cancelling", "--requests 8 --side 512", f"--requests 1 --side 64 --backend {GRADIENT} --prompt sleep=0.02"
    ),
    Benchmark(
        "throughput", "--turns 5 --seconds 0.5", "--turns 1 --seconds 0.05 --connections 2 --ahead 2 --with-limits"
    ),
    Benchmark("fairness", "--hours 6 --workers 1", "--hours 0.2 --workers 1"),
    Benchmark("depth", "--rows 20000 --samples 200", "--rows 100 --samples 2 --priorities 3 --with-limits"),
    Benchmark(
        "streams",
        "--streams 500 --dropped 1000 --seconds 8 --silent 6",
        "--streams 4 --dropped 4 --seconds 0.1 --silent 0.3",
    ),
    Benchmark(
        "postgres",
        "--rows 20000 --samples 150 --seconds 3 --churn 3000",
        "--rows 100 --samples 2 --seconds 0.1 --churn 10 --waiting 2 --processes 1 --with-limits",
    ),
    Benchmark(
        "page",
        "--views 5 --submits 160 --turns 2 --seconds 5 --events 4000 --changes 100",
        "--views 1 --pages 2 --submits 2 --turns 1 --watchers 2 --seconds 0.2 --events 100 --changes 10",
    ),
    Benchmark("page.screens", "--rows 20000", "--rows 100 --samples 1"),
    Benchmark(
        "apis.openai_images",
        "--pairs 30 --waiting 300 --images 8",
        f"--pairs 1 --waiting 2 --images 2 --width 64 --height 64 --backend {GRADIENT}",
    ),
    Benchmark("accounts.ledger", "--turns 6 --requests 600", "--turns 1 --requests 16"),
    Benchmark(
        "estimates",
        "--requests 60 --warm-up 20 --burst 30",
        f"--requests 3 --warm-up 4 --burst 3 --backend {GRADIENT}",
    ),
    Benchmark("resilience.kill", "--kills 8", None),
    Benchmark("resilience.chaos", "--times 16", None),
    Benchmark("resilience.fuzz_http", "--inputs 3000", None),
    Benchmark("resilience.fuzz_images", "--inputs 300", None),
    Benchmark("quality.fidelity", "--prompts 64", "--prompts 4 --direct"),
)
