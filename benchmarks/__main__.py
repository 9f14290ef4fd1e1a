"""Runs the benchmarks one after the other, each as its own command: `python -m benchmarks [NAME ...]`."""

import subprocess
import sys

_ALL = (
    "startup",
    "pickup",
    "idle_gap",
    "engine",
    "cancelling",
    "throughput",
    "depth",
    "streams",
    "postgres",
    "estimates",
    "kill",
    "chaos",
    "fidelity",
)


def main() -> None:
    chosen = sys.argv[1:] or _ALL
    unknown = sorted(set(chosen) - set(_ALL))
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(_ALL)}.")
    failed = [name for name in chosen if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode]
    if failed:
        sys.exit(f"These did not come to an end: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
