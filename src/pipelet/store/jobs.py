"""Requests, from submit to deletion."""

from collections.abc import Sequence

from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import Job, JobRevision, LogEntry
from pipelet.store import rows
from pipelet.store.queries import DialectQueries, SmallStore

NOT_CONFIRMED = "The database did not confirm the request. Submit it again."


class Jobs(SmallStore[DialectQueries]):
    """Implements `domain.ports.store.JobStore`, except the writes of several steps, and `get`."""

    async def find_idempotency_key(self, user: str, key: str, now: float) -> IdempotencyKey | None:
        row = await self._queries.one("find_idempotency_key", owner=user, key=key, now=now)
        return None if row is None else rows.idempotency_key_from(row)

    async def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        return {row["id"]: rows.job_from(row) for row in await self._queries.all("get_jobs", ids=list(ids))}

    async def revisions(self, ids: Sequence[str]) -> dict[str, JobRevision]:
        found = await self._queries.all("get_job_revisions", ids=list(ids))
        return {row["id"]: rows.revision_from(row) for row in found}

    async def log(self, job: Job) -> list[LogEntry]:
        entries = await self._queries.all("list_log_entries", job_id=job.id)
        return [rows.submitted_entry(job), *(rows.from_row(LogEntry, row) for row in entries)]

    async def finished_since(self, since: float, limit: int) -> list[Job]:
        return [rows.job_from(row) for row in await self._queries.all("list_finished_jobs", since=since, limit=limit)]

    async def delete_idempotency_keys(self, now: float, limit: int) -> int:
        values = {"now": now, "limit": limit}
        deleted = await self._queries.write("delete_idempotency_keys", values, durable=False, notify_watchers=False)
        return len(deleted)
