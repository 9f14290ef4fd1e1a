"""Plots what `benchmarks.peers.side_by_side --json-file FILE` has written.

.venv-peers/bin/python -m benchmarks.peers.plot FILE IMAGE
"""

import json
import sys
from pathlib import Path

from matplotlib import pyplot

_OURS, _THEIRS, _LOST = "#2f6f4f", "#9aa5b1", "#b4452f"
_ROWS = (
    ("idle: submit until the handler begins, p99, ms", lambda each: each["pick_up"][1] * 1000),
    ("submit with 8 users, p99, ms", lambda each: each["submit"][1] * 1000),
    ("status with 200 pollers, p99, ms", lambda each: each["poll"][1] * 1000),
    ("drained a second, 4 handlers of 50 ms", lambda each: each["drained"] or 0.0),
    ("lost by kill -9 of everything, of {killed[accepted]}", lambda each: each["killed"]["lost"]),
    ("all done after kill -9 and another start, s; 0: never", lambda each: each["killed"]["seconds"]),
)


def main() -> None:
    found = json.loads(Path(sys.argv[1]).read_text())
    names = [each["name"] for each in found]
    figure, axes = pyplot.subplots(3, 2, figsize=(11, 9), layout="constrained")
    for axis, (title, value) in zip(axes.flat, _ROWS, strict=True):
        values = [value(each) for each in found]
        colours = [_OURS if name.startswith("Pipelet") else _THEIRS for name in names]
        if title.startswith("lost"):
            colours = [_LOST] * len(names)
        is_broad = max(values) > 50 * min(values) > 0
        bars = axis.barh(names, values, color=colours)
        axis.bar_label(bars, list(map(_figure, values)), padding=3)
        scale = " (logarithmic)" if is_broad else ""
        axis.set_title(title.format(**found[0]) + scale, fontsize=10, loc="left")
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.15)
        if is_broad:
            axis.set_xscale("log")
    figure.savefig(sys.argv[2])


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


if __name__ == "__main__":
    main()
