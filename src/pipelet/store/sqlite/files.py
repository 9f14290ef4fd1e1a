"""The stored files of the embedded store."""

import sqlite3
from collections.abc import Sequence

from pipelet.domain.jobs.job import Lease
from pipelet.store.sqlite.connection.group_commit import GroupCommit
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, fetch_value


class SqliteFiles:
    """Implements `domain.ports.store.FileStore`."""

    def __init__(self, queries: SqliteQueries, writer: GroupCommit) -> None:
        self._queries = queries
        self._writer = writer

    async def reserve_input_files(self, job_id: str, keys: Sequence[str], delete_after: float) -> None:
        values = [{"key": key, "job_id": job_id, "delete_after": delete_after} for key in keys]
        await self._writer.write(lambda db: db.executemany(SQL["reserve_input_file"], values) and None)

    async def release_input_files(self, job_id: str, now: float) -> list[str]:
        return [row["key"] for row in await self._queries.write("release_input_files", {"job_id": job_id, "now": now})]

    async def reserve(self, lease: Lease, keys: Sequence[str]) -> bool:
        def operation(db: sqlite3.Connection) -> bool:
            if not fetch_value(db, "holds_lease", {"id": lease.job.id, "token": lease.token}):
                return False
            try:
                for key in keys:
                    db.execute(SQL["reserve_file"], {"key": key, "job_id": lease.job.id, "token": lease.token})
            except sqlite3.IntegrityError as error:
                raise KeyError(f"A file name of {list(keys)} is taken.") from error
            return True

        return await self._writer.write(operation, notify_watchers=False)

    async def orphaned(self, now: float, limit: int) -> list[str]:
        return [row["key"] for row in self._queries.all("list_orphaned_files", now=now, limit=limit)]

    async def delete_rows(self, keys: Sequence[str]) -> None:
        values = [{"key": key} for key in keys]
        await self._writer.write(lambda db: db.executemany(SQL["delete_file"], values) and None, notify_watchers=False)
