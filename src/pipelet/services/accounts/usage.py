"""Usage: what a user, a key or an app has cost, from the ledger."""

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pipelet.domain.accounts.usage import UsageFigures, UsageSum
from pipelet.domain.errors import InvalidQuery
from pipelet.domain.ports.store import Store
from pipelet.domain.ports.usage import UsageField

FIELDS: tuple[UsageField, ...] = ("day", "user", "key", "app")
"""What figures can be grouped by, in the order of the columns."""
DEFAULT_BY: tuple[UsageField, ...] = ("day", "app")
DEFAULT_DAYS = 30
_MAX_LINES = 10_000
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of what spreadsheets compute; the last four are full-width forms of the first four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """Days are UTC; `first` and `last` are included."""

    first: date
    last: date
    by: tuple[UsageField, ...]
    lines: list[UsageSum]
    """In the order of the fields that they are grouped by."""
    key_names: dict[str, str]
    """By the id of the key."""

    @property
    def total(self) -> UsageFigures:
        return sum((line.figures for line in self.lines), UsageFigures())

    def labels(self, line: UsageSum) -> dict[str, str | None]:
        """Return what a line is about: a column for each field, and two for a key."""
        found: dict[str, str | None] = {}
        for field in self.by:
            match field:
                case "day":
                    found["day"] = None if line.day is None else line.day.isoformat()
                case "user":
                    found["user"] = line.user
                case "key":
                    found |= {"key_id": line.key_id or None, "key": self.key_names.get(line.key_id or "")}
                case "app":
                    found["app"] = line.app
        return found


def parse_fields(text: str) -> tuple[UsageField, ...]:
    """Read a list such as `day,app`; an empty text is an empty list.

    Raises:
        InvalidQuery: it names something else.
    """
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    if unknown := sorted(set(names) - {*FIELDS}):
        raise InvalidQuery(f"Usage is not grouped by {unknown[0][:64]!a}. Choose from: {', '.join(FIELDS)}.")
    return tuple(field for field in FIELDS if field in names)


async def load_usage(
    store: Store,
    *,
    first: date | None = None,
    last: date | None = None,
    by: Collection[UsageField] = DEFAULT_BY,
    user: str | None = None,
) -> UsageReport:
    """Read the ledger.

    Args:
        first, last: UTC days, both included; by default the last 30 days until today, or until a later first day.
        by: what the figures are grouped by; without any, all are added up.
        user: whose requests count; None counts all.

    Raises:
        InvalidQuery: the days are in the wrong order, or there would be more than 10,000 lines.
    """
    today = datetime.fromtimestamp(store.clock.now(), UTC).date()
    last = last or max(today, first or today)
    first = first or max(last, date.min + timedelta(DEFAULT_DAYS)) - timedelta(DEFAULT_DAYS - 1)
    if first > last:
        raise InvalidQuery(f"The first day, {first}, is after the last one, {last}. Exchange them.")
    fields = tuple(field for field in FIELDS if field in by)  # one order for all
    lines = await store.usage.sums(first, last, by=fields, user=user, limit=_MAX_LINES + 1)
    if len(lines) > _MAX_LINES:
        raise InvalidQuery(f"There are more than {_MAX_LINES:,} lines. Shorten the time, or group by fewer fields.")
    names = {key.id: key.name for key in await store.api_keys.list_keys()} if "key" in fields else {}
    report = UsageReport(first=first, last=last, by=fields, lines=[], key_names=names)
    report.lines.extend(sorted(lines, key=lambda line: [text or "" for text in report.labels(line).values()]))
    return report


def usage_document(report: UsageReport) -> dict[str, Any]:
    """Return a report as JSON."""
    return {
        "from": report.first.isoformat(),
        "to": report.last.isoformat(),
        "by": list(report.by),
        "items": [{**report.labels(line), **_figures(line.figures)} for line in report.lines],
        "total": _figures(report.total),
    }


def usage_csv(report: UsageReport) -> str:
    """Return a report as CSV with a line of titles. No cell is a formula to a spreadsheet, whatever the names are."""
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow([*report.labels(UsageSum(figures=UsageFigures())), *_figures(UsageFigures())])
    for line in report.lines:
        writer.writerow([*map(_cell, report.labels(line).values()), *_figures(line.figures).values()])
    return target.getvalue()


def _figures(figures: UsageFigures) -> dict[str, int | float]:
    return {
        "requests": figures.requests,
        "images": figures.images,
        "megapixels": figures.megapixels,
        "device_seconds": figures.device_seconds,
        "failed": figures.failed,
        "cancelled": figures.cancelled,
    }


def _cell(text: str | None) -> str:
    """Return a text that a spreadsheet shows as it is: an apostrophe stops it from computing the text."""
    if text is None:
        return ""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text[:1].isspace() else text
