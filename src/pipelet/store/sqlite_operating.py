"""What operators do to the queue of the embedded store."""

import sqlite3
from collections.abc import Sequence
from functools import partial

from pipelet.domain.ports import Drawn
from pipelet.store import endings, rows
from pipelet.store.sqlite_base import SqliteBase
from pipelet.store.sqlite_queries import fetch_value, write_log

_IN_ONE_WRITE = 200
"""Requests that are cancelled together, in some 10 ms."""


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

    async def list_queued(self, *, user: str | None = None, key_id: str | None = None) -> list[str]:
        return [row["id"] for row in self._queries.all("list_queued", user=user, key_id=key_id)]

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        def operation(db: sqlite3.Connection, ids: Sequence[str]) -> int:
            cancelled = 0
            for job_id in ids:
                if fetch_value(db, "cancel_job", {"id": job_id, "now": now, **endings.CANCELLED_BY_OPERATOR}):
                    write_log(db, job_id, now, "INFO", endings.CANCELLED_BY_OPERATOR_LINE)
                    cancelled += 1
            return cancelled

        # In several writes: those of others get their turn in between.
        starts = range(0, len(ids), _IN_ONE_WRITE)
        return sum([await self._writer.write(partial(operation, ids=ids[k : k + _IN_ONE_WRITE])) for k in starts])

    async def drawn_since(self, since: float) -> dict[str, Drawn]:
        return rows.drawn_from(self._queries.all("count_finished", since=since))
