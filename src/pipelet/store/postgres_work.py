"""Work on requests of the shared store: claimed, led to its end, or taken back."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from pipelet.domain.job import Job, Lease, NewLease
from pipelet.domain.outcome import Outcome, Succeeded
from pipelet.domain.ports import Running
from pipelet.domain.progress import Progress
from pipelet.store import endings, rows
from pipelet.store.postgres_base import PostgresBase
from pipelet.store.postgres_connection import Connection
from pipelet.store.postgres_queries import fetch

_CLAIM_TRIES = 3
"""Where others were quicker with what a limited key may run: the next look passes its requests over."""


class PostgresWork(PostgresBase):
    async def claim(self, want: NewLease) -> Lease | None:
        values = {
            "worker": want.worker,
            "token": want.token,
            "now": want.now,
            "expires_at": want.expires_at,
            "message": "Started, attempt %s.",
            "passed_over": list(want.passed_over),
        }
        for _ in range(_CLAIM_TRIES):
            heads = await self._queries.all(
                "heads_of_queues", apps=list(want.apps), now=want.now, passed_over=list(want.passed_over)
            )
            for head in heads:
                # None: others have just taken all there was, or all that the key of this one may run.
                row = await self._queries.one("claim_job", app=head["app"], **values)
                if row is not None:
                    self._news.send()
                    job = rows.job_from(row)
                    return Lease(job=job, token=want.token, worker=want.worker, expires_at=want.expires_at)
            if not any(head["limited"] for head in heads):
                break
        return None

    async def extend(self, lease: Lease, expires_at: float) -> bool:
        return bool(await self._queries.all("extend_lease", id=lease.job.id, token=lease.token, expires_at=expires_at))

    async def report_progress(self, lease: Lease, progress: Progress) -> bool:
        held = {"id": lease.job.id, "token": lease.token}
        noted = bool(await self._queries.all("report_progress", done=progress.done, total=progress.total, **held))
        if noted:
            self._news.send()
        return noted

    async def cancels(self, worker: str) -> set[str]:
        return {row["lease_token"] for row in await self._queries.all("cancels_of_worker", worker=worker)}

    async def reserve_files(self, lease: Lease, keys: Sequence[str]) -> bool:
        try:
            return bool(
                await self._queries.durably("reserve_files", id=lease.job.id, token=lease.token, keys=list(keys))
            )
        except asyncpg.UniqueViolationError as error:
            raise KeyError(f"A file name of {list(keys)} is taken.") from error

    async def finish(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        tries = 0

        async def end(connection: Connection) -> bool:
            nonlocal tries
            tries += 1
            return await _end_attempt(connection, lease.job, lease.token, outcome, now)

        if await self._connections.durably(end):
            if lease.job.is_limited:  # where its key was full, others of its requests may begin now
                self._work.send()
            self._news.send()
            return True
        # A connection can break after the commit and before its answer; then the second try finds the lease gone.
        return tries > 1 and isinstance(outcome, Succeeded) and await self._has_result(lease.job.id, outcome)

    async def _has_result(self, job_id: str, outcome: Succeeded) -> bool:
        row = await self._queries.one("get_job", id=job_id)
        return row is not None and rows.job_from(row).images == outcome.images

    async def requeue_expired(self, now: float) -> list[Job]:
        return await self._end_attempts("expired_leases", {"now": now}, endings.EXPIRED, now)

    async def abandon(self, worker: str, now: float) -> list[Job]:
        ended = await self._end_attempts("leases_of_worker", {"worker": worker}, endings.ABANDONED, now)
        await self._queries.all("forget_name", name=worker)
        return ended

    async def _end_attempts(self, query: str, values: dict[str, Any], outcome: Outcome, now: float) -> list[Job]:
        """One transaction each: one for all would hold the counters of several priorities, and could meet another that
        holds them in another order."""

        async def end_one(connection: Connection) -> asyncpg.Record | None:
            async with connection.transaction():
                found = await fetch(connection, query, values)
                if not found:
                    return None
                await _end_attempt(connection, rows.job_from(found[0]), found[0]["lease_token"], outcome, now)
                return (await fetch(connection, "get_job", {"id": found[0]["id"]}))[0]

        ended = []
        while (row := await self._connections.run(end_one)) is not None:
            ended.append(rows.job_from(row))
        if ended:
            self._work.send()
            self._news.send()
        return ended

    async def end_overdue(self, now: float, limit: int) -> int:
        """One transaction each, as in `_end_attempts`."""

        async def end_one(connection: Connection) -> bool:
            async with connection.transaction():
                found = await fetch(connection, "overdue_jobs", {"now": now, "limit": 1})
                for row in found:
                    at = {"id": row["id"], "now": now}
                    if row["cancel_asked_at"] is None:
                        end = endings.TIMED_OUT | {"message": endings.TIMED_OUT_LINE}
                        await fetch(connection, "expire_job", at | end)
                    else:
                        end = endings.CANCELLED | {"message": endings.CANCELLED_LINE}
                        await fetch(connection, "cancel_job", at | end)
                return bool(found)

        ended = 0
        while ended < limit and await self._connections.run(end_one):
            ended += 1
        if ended:
            self._news.send()
        return ended

    async def running(self, apps: Sequence[str]) -> list[Running]:
        return [rows.running_from(row) for row in await self._queries.all("running_jobs", apps=list(apps))]


async def _end_attempt(connection: Connection, job: Job, token: str, outcome: Outcome, now: float) -> bool:
    """If the attempt still holds its lease."""
    end = endings.ending(job, outcome, now)
    values = {
        "id": job.id,
        "token": token,
        "now": now,
        "kept": end.kept,
        "delete_after": now + endings.ORPHAN_GRACE,
        "level": end.level,
        "message": end.message,
    }
    return bool(await fetch(connection, end.query, end.columns | values))
