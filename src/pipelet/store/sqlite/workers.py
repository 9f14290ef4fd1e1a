"""The workers of the embedded store."""

import sqlite3

from pipelet.domain.capacity.cost_model import Work
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, fetch_one
from pipelet.store.workers import Workers, cost_model_columns, cost_model_from


class SqliteWorkers(Workers[SqliteQueries]):
    async def add_observation(self, profile: str, phase: str, work: Work, seconds: float) -> None:
        def operation(db: sqlite3.Connection) -> None:
            key = {"profile": profile, "phase": phase}
            model = cost_model_from(fetch_one(db, "get_cost_model", key)).observe(work, seconds)
            db.execute(SQL["put_cost_model"], key | cost_model_columns(model))

        await self._queries.writer.write(operation, durable=False, notify_watchers=False)
