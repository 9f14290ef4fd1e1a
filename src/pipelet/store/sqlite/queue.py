"""The queue of the embedded store: positions, counts, and the operator's control."""

import json
import sqlite3
from collections.abc import Sequence
from functools import partial

from pipelet.domain.accounts.api_keys import queued_quota_exceeded
from pipelet.domain.capacity.cost_model import WorkAhead
from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import CompletedCounts, QueueCounts, RunningJob
from pipelet.store import transitions
from pipelet.store.queries import QUOTA_SCAN_LIMIT
from pipelet.store.rows import queue as rows
from pipelet.store.sqlite.connection.group_commit import GroupCommit
from pipelet.store.sqlite.connection.queries import SqliteQueries, as_json, fetch_value, log_entry
from pipelet.store.sqlite.jobs import end_queued_job

_MAX_PER_WRITE = 200
"""Maximum requests that one write cancels, in about 10 ms."""


class SqliteQueue:
    """Implements `domain.ports.store.QueueStore`."""

    def __init__(self, queries: SqliteQueries, writer: GroupCommit) -> None:
        self._queries = queries
        self._writer = writer

    async def work_ahead(self, job: Job, apps: Sequence[str]) -> WorkAhead:
        row = self._queries.one("work_ahead", apps=as_json(tuple(apps)), priority=job.priority, seq=job.seq)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return rows.work_ahead_from(row)

    async def work_ahead_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, WorkAhead]:
        ids = {job.seq: job.id for job in jobs}
        positions = json.dumps([(job.priority, job.seq) for job in jobs])
        found = self._queries.all("work_ahead_many", apps=as_json(tuple(apps)), positions=positions)
        return {ids[row["seq"]]: rows.work_ahead_from(row) for row in found}

    async def backlog(self, priority: int, apps: Sequence[str]) -> WorkAhead:
        row = self._queries.one("backlog", apps=as_json(tuple(apps)), priority=priority)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return rows.work_ahead_from(row)

    async def work_until_quota_frees(self, key_id: str, images: int, apps: Sequence[str]) -> WorkAhead | None:
        values = {"key_id": key_id, "images": images, "apps": as_json(tuple(apps)), "scan_limit": QUOTA_SCAN_LIMIT}
        row = self._queries.one("work_until_quota_frees", **values)
        return rows.work_ahead_from(row) if row is not None and row["known"] else None

    async def is_blocked_by_quota(self, job: Job) -> bool:
        values = {"key_id": job.key_id, "image_count": job.spec.batch_size}
        return job.is_limited and self._queries.one("key_at_running_limit", **values) is not None

    async def queued_quota_exceeded(self, key_id: str, images: int) -> QuotaExceeded | None:
        full = self._queries.one("key_at_queued_limit", key_id=key_id, image_count=images)
        return None if full is None else queued_quota_exceeded(queued=full[0], allowed=full[1], images=images)

    async def running(self, apps: Sequence[str]) -> list[RunningJob]:
        return [rows.running_from(row) for row in self._queries.all("list_running", apps=as_json(tuple(apps)))]

    async def counts(self) -> dict[str, QueueCounts]:
        return rows.counts_from(self._queries.all("count_running"), self._queries.all("count_queued"))

    async def completed_since(self, since: float) -> dict[str, CompletedCounts]:
        return rows.completed_counts_from(self._queries.all("count_completed", since=since))

    async def pause(self, app: str, now: float) -> None:
        await self._queries.write("pause_app", {"app": app, "now": now})

    async def resume(self, app: str) -> bool:
        return bool(await self._queries.write("resume_app", {"app": app}, notify_workers=True))

    async def paused(self) -> dict[str, float]:
        return {row["app"]: row["since"] for row in self._queries.all("list_paused_apps")}

    async def move_to_front(self, job_id: str, now: float) -> bool:
        def operation(db: sqlite3.Connection) -> bool:
            moved = bool(fetch_value(db, "move_to_front", {"id": job_id}))
            if moved:
                log_entry(db, job_id, now, "INFO", transitions.MOVED_ENTRY)
            return moved

        return await self._writer.write(operation)

    async def list_queued(self, *, user: str | None = None, key_id: str | None = None) -> list[str]:
        return [row["id"] for row in self._queries.all("list_queued", user=user, key_id=key_id)]

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        def operation(db: sqlite3.Connection, ids: Sequence[str]) -> int:
            return sum(end_queued_job(db, job_id, now, transitions.CANCELLED_BY_OPERATOR) for job_id in ids)

        # In several writes, so that those of others get their turn in between.
        starts = range(0, len(ids), _MAX_PER_WRITE)
        return sum([await self._writer.write(partial(operation, ids=ids[k : k + _MAX_PER_WRITE])) for k in starts])
