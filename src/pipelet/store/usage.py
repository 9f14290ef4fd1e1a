"""The usage ledger and the minute samples."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from pipelet.domain.accounts.usage import UsageFigures, UsageSum, day_from_number, day_number
from pipelet.domain.capacity.series import EndedRequest, Gauges, Histogram, MinuteEnds, MinuteSample, ends_by_minute
from pipelet.domain.ports.usage import HISTOGRAMS, HistogramName, UsageField
from pipelet.store.queries import DialectQueries, SmallStore
from pipelet.store.rows import Row, from_row


class Usage(SmallStore[DialectQueries]):
    """Implements `domain.ports.usage.UsageStore`, except `add_up` and `sample`."""

    async def sums(
        self, first: date, last: date, *, by: Collection[UsageField], user: str | None = None, limit: int
    ) -> list[UsageSum]:
        found = await self._queries.all(
            "sum_usage",
            by_day="day" in by,
            by_user="user" in by,
            by_key="key" in by,
            by_app="app" in by,
            first_day=day_number(first),
            last_day=day_number(last),
            user=user,
            limit=limit,
        )
        return [_sum_from(row) for row in found]

    async def add_up(self, limit: int) -> int:
        if await self._queries.one("any_usage_entry") is None:
            return 0  # a poll must not take locks
        return await self._add_up(limit)

    async def is_sampled(self, minute: int) -> bool:
        return await self._queries.one("is_minute_sampled", minute=minute) is not None

    async def samples(
        self, first: int, end: int, *, minutes: int = 1, histograms: Collection[HistogramName] = HISTOGRAMS
    ) -> list[MinuteSample]:
        wanted = {f"with_{name}": name in histograms for name in HISTOGRAMS}
        found = await self._queries.all("list_minute_samples", first=first, end=end, minutes=minutes, **wanted)
        return [_sample_from(row) for row in found]

    async def delete_samples(self, before: int, after: int) -> None:
        values = {"before": before, "after": after}
        await self._queries.write("delete_minute_samples", values, durable=False, notify_watchers=False)

    @abstractmethod
    async def _add_up(self, limit: int) -> int: ...


def ends_from(rows: Iterable[Row]) -> dict[tuple[int, str], MinuteEnds]:
    """Return the ends that were added up, by minute and app, for `merged_ends`."""
    names = EndedRequest._fields
    return ends_by_minute(EndedRequest._make([row[name] for name in names]) for row in rows)


def merged_ends(minute: int, app: str, stored: Row | None, ends: MinuteEnds) -> dict[str, Any]:
    """Return the parameters of `put_minute_ends`, from the row of the minute that is stored and what is new."""
    merged = MinuteEnds() if stored is None else _ends_from(stored)
    merged.merge(ends)
    return {
        "minute": minute,
        "app": app,
        "finished": merged.finished,
        "failed": merged.failed,
        "queue_wait": merged.queue_wait.to_json(),
        "total": merged.total.to_json(),
        "estimate_error": merged.estimate_error.to_json(),
    }


def gauge_rows(minute: int, gauges: Mapping[str, Gauges]) -> Iterator[dict[str, Any]]:
    """Yield the parameters of `put_minute_gauges`."""
    for app, each in sorted(gauges.items()):
        yield {"minute": minute, "app": app, **asdict(each)}


def _sum_from(row: Row) -> UsageSum:
    return UsageSum(
        day=None if row["day"] is None else day_from_number(row["day"]),
        user=row["owner"],
        key_id=row["key_id"],
        app=row["app"],
        figures=from_row(UsageFigures, row),
    )


def _sample_from(row: Row) -> MinuteSample:
    gauges = None if row["queued"] is None else from_row(Gauges, row)
    return MinuteSample(minute=row["minute"], app=row["app"], gauges=gauges, ends=_ends_from(row))


def _ends_from(row: Row) -> MinuteEnds:
    histograms = {name: Histogram(row[name]) for name in HISTOGRAMS}
    return MinuteEnds(finished=row["finished"], failed=row["failed"], **histograms)
