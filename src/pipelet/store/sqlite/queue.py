"""The queue of the embedded store."""

import sqlite3
from collections.abc import Sequence
from functools import partial

from pipelet.domain.capacity.cost_model import WorkAhead
from pipelet.domain.jobs.job import Job
from pipelet.store import transitions
from pipelet.store.queue import Queue, work_ahead_from
from pipelet.store.sqlite.connection.queries import SqliteQueries, change
from pipelet.store.sqlite.jobs import end_queued_job

_MAX_PER_WRITE = 200
"""Maximum requests that one write cancels, in about 10 ms."""


class SqliteQueue(Queue[SqliteQueries]):
    async def work_ahead(self, job: Job, apps: Sequence[str]) -> WorkAhead:
        [row] = await self._queries.all("work_ahead", apps=tuple(apps), priority=job.priority, seq=job.seq)
        return work_ahead_from(row)

    async def work_ahead_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, WorkAhead]:
        ids = {job.seq: job.id for job in jobs}
        positions = [(job.priority, job.seq) for job in jobs]
        found = await self._queries.all("work_ahead_many", apps=tuple(apps), positions=positions)
        return {ids[row["seq"]]: work_ahead_from(row) for row in found}

    async def move_to_front(self, job_id: str, now: float) -> bool:
        values = {"id": job_id, "now": now, "level": "INFO", "message": transitions.MOVED_ENTRY}
        return await self._queries.writer.write(lambda db: change(db, values, "move_to_front", "insert_log_entry"))

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        def operation(db: sqlite3.Connection, ids: Sequence[str]) -> int:
            return sum(end_queued_job(db, job_id, now, transitions.CANCELLED_BY_OPERATOR) for job_id in ids)

        # In several writes, so that those of others get their turn in between.
        chunks = (ids[k : k + _MAX_PER_WRITE] for k in range(0, len(ids), _MAX_PER_WRITE))
        return sum([await self._queries.writer.write(partial(operation, ids=chunk)) for chunk in chunks])
