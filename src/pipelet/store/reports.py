"""Reports for operators."""

import json
from collections.abc import Sequence

from pipelet.domain.ports.reports import (
    FailureCount,
    FailureMinute,
    PriorityCount,
    RunningRequest,
    SavedReport,
    StoredImages,
    UserCount,
)
from pipelet.store.queries import Queries, SmallStore
from pipelet.store.rows import from_row, progress_from


class Reports(SmallStore[Queries]):
    """Implements `domain.ports.reports.ReportStore`."""

    async def failures(self, since: float, limit: int) -> list[FailureCount]:
        found = await self._queries.all("count_failures", since=since, limit=limit)
        return [from_row(FailureCount, row) for row in found]

    async def failures_by_minute(self, since: float, limit: int) -> list[FailureMinute]:
        found = await self._queries.all("count_failures_by_minute", since=since, limit=limit)
        return [from_row(FailureMinute, row) for row in found]

    async def running(self, limit: int) -> list[RunningRequest]:
        found = await self._queries.all("report_running", limit=limit)
        return [from_row(RunningRequest, row, user=row["owner"], progress=progress_from(row)) for row in found]

    async def queued_by_priority(self) -> list[PriorityCount]:
        return [from_row(PriorityCount, row) for row in await self._queries.all("count_queued_by_priority")]

    async def queued_by_user(self, apps: Sequence[str], *, scan_limit: int, limit: int) -> list[UserCount]:
        values = {"apps": tuple(apps), "scan_limit": scan_limit, "limit": limit}
        found = await self._queries.all("count_queued_by_user", **values)
        return [UserCount(user=row["owner"], requests=row["requests"]) for row in found]

    async def stored_images(self, after: tuple[float, int], limit: int) -> list[StoredImages]:
        finished_at, seq = after
        found = await self._queries.all("list_stored_images", finished_at=finished_at, seq=seq, limit=limit)
        return [from_row(StoredImages, row, user=row["owner"], size=_size_of(row["stored"])) for row in found]

    async def start(self, name: str, now: float, since: float) -> bool:
        values = {"name": name, "now": now, "since": since}
        return bool(await self._queries.write("start_report", values, durable=False, notify_watchers=False))

    async def save(self, name: str, now: float, body: str) -> None:
        values = {"name": name, "now": now, "body": body}
        await self._queries.write("put_report", values, durable=False, notify_watchers=False)

    async def saved(self, name: str) -> SavedReport | None:
        row = await self._queries.one("get_report", name=name)
        return None if row is None else SavedReport(row["sampled_at"], row["body"])


def _size_of(images: str | None) -> int:
    return sum(image["file_size"] for image in json.loads(images)) if images else 0
