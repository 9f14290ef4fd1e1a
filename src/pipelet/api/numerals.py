"""Whole numbers as texts of digits: reading them, and saying in a regular expression which ones are in a range."""

import re

_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?")


def read_whole(text: str) -> int | None:
    """ASCII digits with an optional sign only: `int` would take blanks, underscores and other scripts' digits."""
    return int(text) if _WHOLE.fullmatch(text) else None


def read_decimal(text: str) -> float | None:
    return float(text) if _DECIMAL.fullmatch(text) else None


def whole_pattern(low: int, high: int) -> str:
    """Matches the texts that `read_whole` reads as low to high."""
    ways = []
    if high >= 0:
        ways.append(rf"\+?0*{_between(max(low, 0), high)}")
    if low < 0:
        ways.append(f"-0*{_between(max(-high, 0), -low)}")
    elif low == 0:
        ways.append("-0+")
    return f"^(?:{'|'.join(ways)})$"


def decimal_pattern(high: int) -> str:
    """Matches the texts that `read_decimal` reads as 0 to high."""
    below = rf"{_between(0, high - 1)}(?:\.[0-9]+)?|" if high > 0 else ""
    return rf"^\+?0*(?:{below}{high}(?:\.0+)?)$"


def _between(low: int, high: int) -> str:
    """The numerals from low to high: 64 to 4096 is 6[4-9], [7-9][0-9], [1-9][0-9]{2} and so on."""
    ways = []
    start = low
    while start <= high:
        end = _end_of_block(start, high)
        ways.append(_block(str(start), str(end)))
        start = end + 1
    return f"(?:{'|'.join(ways)})"


def _end_of_block(start: int, high: int) -> int:
    """The last number up to `high` so that start..end differ in one digit, and all behind it run from 0 to 9."""
    free = 1
    while start % (free * 10) == 0 and start >= free * 10 and start + free * 10 - 1 <= high:
        free *= 10
    digit = start // free % 10
    return start + min(9 - digit, (high - start + 1) // free - 1) * free + free - 1


def _block(first: str, last: str) -> str:
    at = next((at for at in range(len(first)) if first[at] != last[at]), None)
    if at is None:
        return first
    free = len(first) - at - 1
    return f"{first[:at]}[{first[at]}-{last[at]}]" + ("[0-9]" if free == 1 else f"[0-9]{{{free}}}" if free else "")
