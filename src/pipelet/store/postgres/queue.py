"""The queue of the shared store."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from pipelet.concurrency.batch_loader import BatchLoader
from pipelet.domain.capacity.cost_model import Work, WorkAhead
from pipelet.domain.jobs.job import Job
from pipelet.store import transitions
from pipelet.store.postgres.connection.queries import PostgresQueries
from pipelet.store.queue import Queue, work_ahead_from


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
        row = await self._queries.one("work_ahead", apps=tuple(apps), priority=job.priority, seq=job.seq)
        return {} if row is None else {job: work_ahead_from(row)}

    async def work_ahead_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, WorkAhead]:
        ids = {job.seq: job.id for job in jobs}
        priorities, seqs = [job.priority for job in jobs], [job.seq for job in jobs]
        found = await self._queries.all("work_ahead_many", apps=tuple(apps), priorities=priorities, seqs=seqs)
        return {ids[row["seq"]]: work_ahead_from(row) for row in found}

    async def move_to_front(self, job_id: str, now: float) -> bool:
        values = {"id": job_id, "now": now, "message": transitions.MOVED_ENTRY}
        return bool(await self._queries.write("move_to_front", values))

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        """One transaction per job, as in `PostgresLeases`."""
        cancelled, size = 0, self._queries.pool.max_size
        for chunk in (ids[k : k + size] for k in range(0, len(ids), size)):
            ends = [transitions.CANCELLED_BY_OPERATOR.columns(job_id, now) for job_id in chunk]
            ended = await asyncio.gather(*(self._queries.write("end_queued_job", end) for end in ends))
            cancelled += sum(map(len, ended))
        return cancelled
