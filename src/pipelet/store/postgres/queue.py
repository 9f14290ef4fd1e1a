"""The queue of the shared store."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from pipelet.concurrency.batch_loader import BatchLoader
from pipelet.domain.capacity.cost_model import Work, WorkAhead
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import CancelledBy
from pipelet.domain.jobs.queue_order import Arrival, QueueOrder
from pipelet.store import transitions
from pipelet.store.postgres.connection.pool import Connection
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch
from pipelet.store.queue import Queue, arrival_columns, work_ahead_from


class PostgresQueue(Queue[PostgresQueries]):
    def __init__(self, queries: PostgresQueries) -> None:
        super().__init__(queries)
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
        place = {"priority": job.priority, "turn": job.turn, "seq": job.seq}
        [row] = await self._queries.all("work_ahead", apps=tuple(apps), **place)
        return {job: work_ahead_from(row)}

    async def work_ahead_of_new(self, arrival: Arrival, apps: Sequence[str]) -> WorkAhead:
        [row] = await self._queries.all("work_ahead_of_new", apps=tuple(apps), **arrival_columns(arrival))
        return work_ahead_from(row)

    async def work_ahead_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, WorkAhead]:
        ids = {job.seq: job.id for job in jobs}
        found = await self._queries.all("work_ahead_many", apps=tuple(apps), seqs=list(ids))
        return {ids[row["seq"]]: work_ahead_from(row) for row in found}

    async def set_order(self, order: QueueOrder) -> None:
        async def change(connection: Connection) -> None:
            async with connection.transaction():
                if order is QueueOrder.FIFO:
                    await fetch(connection, "set_order_fifo", {})
                elif await fetch(connection, "set_order_fair", {}):
                    await fetch(connection, "advance_all_clocks", {})

        await self._queries.pool.run(change)
        self._queries.notify()

    async def set_priority(self, job_id: str, priority: int, now: float) -> bool:
        changed = await self._queries.pool.run_durable(partial(_set_priority, job_id, priority, now))
        if changed:
            self._queries.notify()
        return changed

    async def move_to_front(self, job_id: str, now: float) -> bool:
        values = {"id": job_id, "now": now, "message": transitions.MOVED_ENTRY}
        return bool(await self._queries.write("move_to_front", values))

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        """One transaction per job, as in `PostgresLeases`."""
        cancelled, size = 0, self._queries.pool.max_size
        for chunk in (ids[k : k + size] for k in range(0, len(ids), size)):
            ends = [transitions.cancelled_end(CancelledBy.OPERATOR).columns(job_id, now) for job_id in chunk]
            ended = await asyncio.gather(*(self._queries.write("end_queued_job", end) for end in ends))
            cancelled += sum(map(len, ended))
        return cancelled


async def _set_priority(job_id: str, priority: int, now: float, connection: Connection) -> bool:
    """Return False if the job is not queued. It runs in a transaction, and may run twice."""
    found = await fetch(connection, "get_queued_job", {"id": job_id})
    if not found or found[0]["priority"] == priority:
        return bool(found)
    job = dict(found[0])
    levels = {priority, job["charged_priority"]} - {None}
    await fetch(connection, "lock_accounts", job | {"priorities": sorted(levels)})
    await fetch(connection, "refund_turn", job)
    arrival = job | {"priority": priority}
    [turn] = await fetch(connection, "next_turn", arrival)
    if turn["start"] is not None:
        await fetch(connection, "charge_turn", arrival | {"start": turn["start"]})
    message = transitions.PRIORITY_ENTRY % (job["priority"], priority)
    charged_priority = None if turn["start"] is None else priority
    values = arrival | {"turn": turn["turn"], "charged_priority": charged_priority, "now": now, "message": message}
    return bool(await fetch(connection, "set_priority", values))
