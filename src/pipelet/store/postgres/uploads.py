"""The uploads of the shared store."""

from pipelet.domain.uploads import Upload
from pipelet.store.images.uploads import Uploads, refusal_by, upload_columns
from pipelet.store.postgres.connection.pool import Connection
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch


class PostgresUploads(Uploads[PostgresQueries]):
    async def _note(self, upload: Upload, *, is_limited: bool) -> None:
        columns = upload_columns(upload)

        async def add(connection: Connection) -> None:
            """Runs twice if the connection breaks before its reply."""
            await fetch(connection, "lock_uploads", columns)
            if await fetch(connection, "get_upload", columns):
                return
            [unused] = await fetch(connection, "count_unused_uploads", columns)
            quotas = await fetch(connection, "get_user_quota", columns) if is_limited else []
            if refusal := refusal_by(next(iter(quotas), None), unused, upload.size):
                raise refusal
            await fetch(connection, "add_upload", columns)

        await self._queries.pool.run_durable(add)
