"""The stored files of the shared store."""

from collections.abc import Sequence

import asyncpg

from pipelet.domain.jobs.job import Lease
from pipelet.store.postgres.connection.queries import PostgresQueries


class PostgresFiles:
    """Implements `domain.ports.store.FileStore`."""

    def __init__(self, queries: PostgresQueries) -> None:
        self._queries = queries

    async def reserve_input_files(self, job_id: str, keys: Sequence[str], delete_after: float) -> None:
        await self._queries.run_durable(
            "reserve_input_files", job_id=job_id, keys=list(keys), delete_after=delete_after
        )

    async def release_input_files(self, job_id: str, now: float) -> list[str]:
        return [row["key"] for row in await self._queries.all("release_input_files", job_id=job_id, now=now)]

    async def reserve(self, lease: Lease, keys: Sequence[str]) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "keys": list(keys)}
        try:
            return bool(await self._queries.run_durable("reserve_files", **values))
        except asyncpg.UniqueViolationError as error:
            raise KeyError(f"A file name of {list(keys)} is taken.") from error

    async def orphaned(self, now: float, limit: int) -> list[str]:
        return [row["key"] for row in await self._queries.all("list_orphaned_files", now=now, limit=limit)]

    async def delete_rows(self, keys: Sequence[str]) -> None:
        await self._queries.all("delete_files", keys=list(keys))
