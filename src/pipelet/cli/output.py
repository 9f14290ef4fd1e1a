"""Plain-text tables, for people and for scripts."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pipelet.system.text import visible


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; None is shown as `-`. It is not cut to the width of the terminal, so that ids can be copied."""
    lines = [columns, *(["-" if cell is None else visible(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


def date(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def requests(number: int) -> str:
    return f"{number:,} request{'' if number == 1 else 's'}"
