"""`pipelet usage`: what users, keys and apps have cost."""

import json
from datetime import date
from typing import Annotated

from cyclopts import Parameter

from pipelet import settings
from pipelet.cli.options import AsJson, DataDir
from pipelet.cli.output import print_table
from pipelet.domain.accounts.usage import UsageFigures, UsageSum
from pipelet.services.accounts.usage import DEFAULT_BY, UsageReport, load_usage, parse_fields, usage_csv, usage_document
from pipelet.wiring.store import open_store

_FIGURES = ("requests", "images", "megapixels", "device seconds", "failed", "cancelled")


async def usage(
    *,
    first: Annotated[date | None, Parameter(name="--from")] = None,
    last: Annotated[date | None, Parameter(name="--to")] = None,
    by: str = ",".join(DEFAULT_BY),
    user: str | None = None,
    as_csv: Annotated[bool, Parameter(name="--csv", negative=(), show_default=False)] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show how many requests ended, and what they cost: images, megapixels, and seconds of device time.

    Failed requests, and those that were cancelled before their start, cost nothing. The figures stay when requests and
    keys are deleted. Days are UTC.

    For example:

        pipelet usage

        pipelet usage --from 2026-11-01 --to 2026-11-30 --by user,key --csv

    Parameters
    ----------
    first
        First day, such as 2026-11-01. [default: 29 days before the last]
    last
        Last day; it is included. [default: today]
    by
        What the figures are grouped by: any of day, user, key and app, separated by commas; empty for one line.
    user
        Count the requests of this user only.
    as_csv
        Print CSV, which spreadsheets read.
    """
    fields = parse_fields(by)
    async with open_store(settings.load(data_dir=data_dir)) as store:
        report = await load_usage(store, first=first, last=last, by=fields, user=user)
    if as_json:
        print(json.dumps(usage_document(report)))
    elif as_csv:
        print(usage_csv(report), end="")
    else:
        _show(report)


def _show(report: UsageReport) -> None:
    if not report.lines:
        print(f"No request ended from {report.first} to {report.last}.")
        return
    titles = (*report.labels(UsageSum(figures=UsageFigures())), *_FIGURES)
    rows = [(*report.labels(line).values(), *_figures(line.figures)) for line in report.lines]
    if len(rows) > 1:
        rows.append((*("total" if k == 0 else "" for k in range(len(titles) - len(_FIGURES))), *_figures(report.total)))
    print_table(titles, rows)


def _figures(figures: UsageFigures) -> tuple[str, ...]:
    return (
        f"{figures.requests:,}",
        f"{figures.images:,}",
        f"{figures.megapixels:,.1f}",
        f"{figures.device_seconds:,.1f}",
        f"{figures.failed:,}",
        f"{figures.cancelled:,}",
    )
