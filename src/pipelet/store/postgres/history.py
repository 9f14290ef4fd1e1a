"""The history of requests in the shared store."""

from pipelet.domain.jobs.job import DeleteResult
from pipelet.domain.ports.history import Deletion
from pipelet.store.history import History, not_deleted
from pipelet.store.postgres.connection.pool import Connection
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch


class PostgresHistory(History[PostgresQueries]):
    async def delete(self, job_id: str, now: float) -> Deletion:
        values = {"id": job_id, "now": now}

        runs = 0

        async def delete_one(connection: Connection) -> Deletion:
            nonlocal runs
            runs += 1
            keys = [row["key"] for row in await fetch(connection, "list_job_file_keys", values)]
            if not await fetch(connection, "delete_ended_job", values):
                row = next(iter(await fetch(connection, "get_job_state", values)), None)
                return not_deleted(None if row is None else row["state"])
            await fetch(connection, "delete_job_idempotency_keys", values)
            await fetch(connection, "release_result_files", values)
            orphans = await fetch(connection, "list_orphans_among", {"keys": keys, "now": now})
            return Deletion(DeleteResult.DELETED, [row["key"] for row in orphans])

        deletion = await self._queries.pool.run_durable(delete_one)
        if runs > 1 and deletion.result is DeleteResult.UNKNOWN:
            # The connection broke after the commit and before its reply; maintenance deletes the files.
            deletion = Deletion(DeleteResult.DELETED)
        if deletion.result is DeleteResult.DELETED:
            self._queries.notify()
        return deletion
