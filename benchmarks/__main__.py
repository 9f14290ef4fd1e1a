"""Runs the benchmarks one after the other, each as its own command: `python -m benchmarks [NAME ...]`.

`python -m benchmarks check [--record]` runs them short, and compares their ratios with the recorded ones.
"""

import subprocess
import sys

from benchmarks import check
from benchmarks.catalog import ALL


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["check"]:
        sys.exit(check.command(arguments[1:]))
    known = [benchmark.name for benchmark in ALL]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(known)}; and `check`.")
    failed = [
        benchmark.name
        for benchmark in ALL
        if benchmark.name in (arguments or known)
        and subprocess.run([sys.executable, *benchmark.command("")]).returncode
    ]
    if failed:
        sys.exit(f"These failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
