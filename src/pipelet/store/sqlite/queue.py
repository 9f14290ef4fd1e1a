"""The queue of the embedded store."""

import sqlite3
from collections.abc import Sequence
from functools import partial

from pipelet.domain.capacity.cost_model import WorkAhead
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import CancelledBy
from pipelet.domain.jobs.queue_order import Arrival, QueueOrder
from pipelet.store import transitions
from pipelet.store.queue import Queue, arrival_columns, work_ahead_from
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, change, fetch, fetch_one
from pipelet.store.sqlite.jobs import end_queued_job
from pipelet.store.sqlite.turns import return_turn, take_turn

_AFTER_ALL = 2**63 - 1
"""A `seq` after all others of the same turn."""
_MAX_PER_WRITE = 200
"""Maximum requests that one write cancels, in about 10 ms."""


class SqliteQueue(Queue[SqliteQueries]):
    async def work_ahead(self, job: Job, apps: Sequence[str]) -> WorkAhead:
        place = {"priority": job.priority, "turn": job.turn, "seq": job.seq}
        [row] = await self._queries.all("work_ahead", apps=tuple(apps), **place)
        return work_ahead_from(row)

    async def work_ahead_of_new(self, arrival: Arrival, apps: Sequence[str]) -> WorkAhead:
        [found] = await self._queries.all("next_turn", **arrival_columns(arrival))
        place = {"apps": tuple(apps), "priority": arrival.priority, "turn": found["turn"], "seq": _AFTER_ALL}
        row = await self._queries.one("work_ahead_of_last", **place) or await self._queries.one("work_ahead", **place)
        assert row is not None  # noqa: S101 - sums always have a row
        return work_ahead_from(row)

    async def work_ahead_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, WorkAhead]:
        ids = {job.seq: job.id for job in jobs}
        found = await self._queries.all("work_ahead_many", apps=tuple(apps), seqs=list(ids))
        return {ids[row["seq"]]: work_ahead_from(row) for row in found}

    async def set_order(self, order: QueueOrder) -> None:
        def operation(db: sqlite3.Connection) -> None:
            if order is QueueOrder.FIFO:
                db.execute(SQL["set_order_fifo"])
            elif fetch(db, "set_order_fair", {}):
                db.execute(SQL["advance_all_clocks"])

        await self._queries.writer.write(operation)

    async def set_priority(self, job_id: str, priority: int, now: float) -> bool:
        def operation(db: sqlite3.Connection) -> bool:
            found = fetch_one(db, "get_queued_job", {"id": job_id})
            if found is None or found["priority"] == priority:
                return found is not None
            job = dict(found)
            return_turn(db, job)
            turn = take_turn(db, job | {"priority": priority})
            message = transitions.PRIORITY_ENTRY % (job["priority"], priority)
            values = {"id": job_id, "priority": priority, "now": now, "level": "INFO", "message": message}
            return change(db, values | turn, "set_priority", "insert_log_entry")

        return await self._queries.writer.write(operation)

    async def move_to_front(self, job_id: str, now: float) -> bool:
        values = {"id": job_id, "now": now, "level": "INFO", "message": transitions.MOVED_ENTRY}
        return await self._queries.writer.write(lambda db: change(db, values, "move_to_front", "insert_log_entry"))

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        end = transitions.cancelled_end(CancelledBy.OPERATOR)

        def operation(db: sqlite3.Connection, ids: Sequence[str]) -> int:
            return sum(end_queued_job(db, job_id, now, end) for job_id in ids)

        # In several writes, so that those of others get their turn in between.
        chunks = (ids[k : k + _MAX_PER_WRITE] for k in range(0, len(ids), _MAX_PER_WRITE))
        return sum([await self._queries.writer.write(partial(operation, ids=chunk)) for chunk in chunks])
