"""The queue of the shared store: positions, counts, and the operator's control."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from pipelet.concurrency.batch_loader import BatchLoader
from pipelet.domain.accounts.api_keys import queued_quota_exceeded
from pipelet.domain.capacity.cost_model import Work, WorkAhead
from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import CompletedCounts, QueueCounts, RunningJob
from pipelet.store import transitions
from pipelet.store.postgres.connection.notifier import PostgresNotifier
from pipelet.store.postgres.connection.queries import PostgresQueries
from pipelet.store.queries import QUOTA_SCAN_LIMIT
from pipelet.store.rows import queue as rows


class PostgresQueue:
    """Implements `domain.ports.store.QueueStore`.

    Args:
        max_concurrent: maximum statements that one call runs at the same time.
    """

    def __init__(
        self, queries: PostgresQueries, work: PostgresNotifier, changes: PostgresNotifier, *, max_concurrent: int
    ) -> None:
        self._queries = queries
        self._work = work
        self._changes = changes
        self._max_concurrent = max_concurrent
        self._position_loaders: dict[tuple[str, ...], BatchLoader[Job, WorkAhead]] = {}

    async def work_ahead(self, job: Job, apps: Sequence[str]) -> WorkAhead:
        loader = self._position_loaders.get(tuple(apps))
        if loader is None:
            loader = self._position_loaders[tuple(apps)] = BatchLoader(partial(self._load_positions, apps=apps))
        return await loader.get(job) or WorkAhead(0, Work())  # it has just started

    async def _load_positions(self, jobs: Sequence[Job], apps: Sequence[str]) -> Mapping[Job, WorkAhead]:
        if len(jobs) > 1:
            found = await self.work_ahead_many(jobs, apps)
            return {job: found[job.id] for job in jobs if job.id in found}
        [job] = jobs
        row = await self._queries.one("work_ahead", apps=list(apps), priority=job.priority, seq=job.seq)
        return {} if row is None else {job: rows.work_ahead_from(row)}

    async def work_ahead_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, WorkAhead]:
        ids = {job.seq: job.id for job in jobs}
        priorities, seqs = [job.priority for job in jobs], [job.seq for job in jobs]
        found = await self._queries.all("work_ahead_many", apps=list(apps), priorities=priorities, seqs=seqs)
        return {ids[row["seq"]]: rows.work_ahead_from(row) for row in found}

    async def backlog(self, priority: int, apps: Sequence[str]) -> WorkAhead:
        row = await self._queries.one("backlog", apps=list(apps), priority=priority)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return rows.work_ahead_from(row)

    async def work_until_quota_frees(self, key_id: str, images: int, apps: Sequence[str]) -> WorkAhead | None:
        values = {"key_id": key_id, "images": images, "apps": list(apps), "scan_limit": QUOTA_SCAN_LIMIT}
        row = await self._queries.one("work_until_quota_frees", **values)
        return rows.work_ahead_from(row) if row is not None and row["known"] else None

    async def is_blocked_by_quota(self, job: Job) -> bool:
        values = {"key_id": job.key_id, "image_count": job.spec.batch_size}
        return job.is_limited and await self._queries.one("key_at_running_limit", **values) is not None

    async def queued_quota_exceeded(self, key_id: str, images: int) -> QuotaExceeded | None:
        full = await self._queries.one("key_at_queued_limit", key_id=key_id, image_count=images)
        return None if full is None else queued_quota_exceeded(queued=full[0], allowed=full[1], images=images)

    async def running(self, apps: Sequence[str]) -> list[RunningJob]:
        return [rows.running_from(row) for row in await self._queries.all("list_running", apps=list(apps))]

    async def counts(self) -> dict[str, QueueCounts]:
        return rows.counts_from(await self._queries.all("count_running"), await self._queries.all("count_queued"))

    async def completed_since(self, since: float) -> dict[str, CompletedCounts]:
        return rows.completed_counts_from(await self._queries.all("count_completed", since=since))

    async def pause(self, app: str, now: float) -> None:
        await self._queries.run_durable("pause_app", app=app, now=now)
        self._changes.notify()

    async def resume(self, app: str) -> bool:
        resumed = bool(await self._queries.run_durable("resume_app", app=app))
        self._work.notify()
        self._changes.notify()
        return resumed

    async def paused(self) -> dict[str, float]:
        return {row["app"]: row["since"] for row in await self._queries.all("list_paused_apps")}

    async def move_to_front(self, job_id: str, now: float) -> bool:
        values = {"id": job_id, "now": now, "message": transitions.MOVED_ENTRY}
        moved = bool(await self._queries.run_durable("move_to_front", **values))
        if moved:
            self._changes.notify()
        return moved

    async def list_queued(self, *, user: str | None = None, key_id: str | None = None) -> list[str]:
        return [row["id"] for row in await self._queries.all("list_queued", user=user, key_id=key_id)]

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        """One transaction per job, as in `PostgresLeases`."""
        end, cancelled = transitions.CANCELLED_BY_OPERATOR, 0
        for k in range(0, len(ids), self._max_concurrent):
            chunk = ids[k : k + self._max_concurrent]
            calls = (self._queries.run_durable("end_queued_job", **end.columns(job_id, now)) for job_id in chunk)
            cancelled += sum(map(len, await asyncio.gather(*calls)))
            self._changes.notify()
        return cancelled
