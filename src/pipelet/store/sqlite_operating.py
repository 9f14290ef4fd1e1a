"""What operators do to the queue of the embedded store."""

import sqlite3

from pipelet.domain.ports import Drawn
from pipelet.store import endings, rows
from pipelet.store.sqlite_base import SqliteBase
from pipelet.store.sqlite_queries import fetch_value, write_log


class SqliteOperating(SqliteBase):
    async def pause(self, app: str, now: float) -> None:
        await self._queries.write("pause_app", {"app": app, "now": now})

    async def resume(self, app: str) -> bool:
        return bool(await self._queries.write("resume_app", {"app": app}, announced=True))

    async def paused(self) -> dict[str, float]:
        return {row["app"]: row["since"] for row in self._queries.all("paused_apps")}

    async def move_to_front(self, job_id: str, now: float) -> bool:
        def operation(db: sqlite3.Connection) -> bool:
            moved = bool(fetch_value(db, "move_to_front", {"id": job_id}))
            if moved:
                write_log(db, job_id, now, "INFO", endings.MOVED_LINE)
            return moved

        return await self._writer.write(operation)

    async def drawn_since(self, since: float) -> dict[str, Drawn]:
        return rows.drawn_from(self._queries.all("count_finished", since=since))
