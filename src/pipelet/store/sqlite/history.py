"""The history of requests in the embedded store."""

import sqlite3
from collections.abc import Callable

from pipelet.domain.jobs.job import DeleteResult
from pipelet.domain.ports.history import Deletion
from pipelet.store.history import History, not_deleted
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, fetch, fetch_value


class SqliteHistory(History[SqliteQueries]):
    """
    Args:
        forget: drops a job from caches of this process.
    """

    def __init__(self, queries: SqliteQueries, *, forget: Callable[[str], None]) -> None:
        super().__init__(queries)
        self._forget = forget

    async def delete(self, job_id: str, now: float) -> Deletion:
        values = {"id": job_id, "now": now}

        def operation(db: sqlite3.Connection) -> Deletion:
            keys = [row["key"] for row in fetch(db, "list_job_file_keys", values)]
            if not fetch(db, "delete_ended_job", values):
                return not_deleted(fetch_value(db, "get_job_state", values))
            db.execute(SQL["delete_job_idempotency_keys"], values)
            db.execute(SQL["release_result_files"], values)
            orphans = fetch(db, "list_orphans_among", {"keys": keys, "now": now})
            return Deletion(DeleteResult.DELETED, [row["key"] for row in orphans])

        deletion = await self._queries.writer.write(operation)
        self._forget(job_id)
        return deletion
