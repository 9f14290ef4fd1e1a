"""The uploads of the embedded store."""

import sqlite3

from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.uploads import Upload
from pipelet.store.images.uploads import Uploads, refusal_by, upload_columns
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, fetch_one


class SqliteUploads(Uploads[SqliteQueries]):
    async def _note(self, upload: Upload, *, is_limited: bool) -> None:
        columns = upload_columns(upload)

        def operation(db: sqlite3.Connection) -> QuotaExceeded | None:
            quota = fetch_one(db, "get_user_quota", columns) if is_limited else None
            refusal = refusal_by(quota, fetch_one(db, "count_unused_uploads", columns), upload.size)
            if refusal is None:
                db.execute(SQL["add_upload"], columns)
            return refusal  # if it were raised, the whole batch would run once more

        if refusal := await self._queries.writer.write(operation, notify_watchers=False):
            raise refusal
