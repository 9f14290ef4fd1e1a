"""The usage ledger of the embedded store."""

import sqlite3
from collections.abc import Mapping

from pipelet.domain.capacity.series import Gauges
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, fetch, fetch_one
from pipelet.store.usage import Usage, ends_from, gauge_rows, merged_ends


class SqliteUsage(Usage[SqliteQueries]):
    async def _add_up(self, limit: int) -> int:
        def operation(db: sqlite3.Connection) -> int:
            db.execute(SQL["add_up_usage"], {"limit": limit})
            entries = fetch(db, "delete_usage_entries", {"limit": limit})
            for (minute, app), ends in ends_from(entries).items():
                stored = fetch_one(db, "get_minute_sample", {"minute": minute, "app": app})
                db.execute(SQL["put_minute_ends"], merged_ends(minute, app, stored, ends))
            return len(entries)

        # A power cut may undo it as a whole: then the entries are there again.
        return await self._queries.writer.write(operation, durable=False, notify_watchers=False)

    async def sample(self, minute: int, gauges: Mapping[str, Gauges]) -> None:
        def operation(db: sqlite3.Connection) -> None:
            db.executemany(SQL["put_minute_gauges"], gauge_rows(minute, gauges))

        await self._queries.writer.write(operation, durable=False, notify_watchers=False)
