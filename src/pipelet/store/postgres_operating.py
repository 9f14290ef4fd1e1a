"""What operators do to the queue of the shared store."""

import asyncio
from collections.abc import Sequence

from pipelet.domain.ports import Drawn
from pipelet.store import endings, rows
from pipelet.store.postgres_base import PostgresBase


class PostgresOperating(PostgresBase):
    async def pause(self, app: str, now: float) -> None:
        await self._queries.durably("pause_app", app=app, now=now)
        self._news.send()

    async def resume(self, app: str) -> bool:
        resumed = bool(await self._queries.durably("resume_app", app=app))
        self._work.send()
        self._news.send()
        return resumed

    async def paused(self) -> dict[str, float]:
        return {row["app"]: row["since"] for row in await self._queries.all("paused_apps")}

    async def move_to_front(self, job_id: str, now: float) -> bool:
        moved = bool(await self._queries.durably("move_to_front", id=job_id, now=now, message=endings.MOVED_LINE))
        if moved:
            self._news.send()
        return moved

    async def list_queued(self, *, user: str | None = None, key_id: str | None = None) -> list[str]:
        return [row["id"] for row in await self._queries.all("list_queued", user=user, key_id=key_id)]

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        """One transaction each: see `PostgresWork.end_overdue`."""
        end = endings.CANCELLED_BY_OPERATOR | {"message": endings.CANCELLED_BY_OPERATOR_LINE}
        cancelled, most = 0, self._connections.most
        for k in range(0, len(ids), most):
            calls = (self._queries.durably("cancel_job", id=job_id, now=now, **end) for job_id in ids[k : k + most])
            cancelled += sum(map(len, await asyncio.gather(*calls)))
            self._news.send()
        return cancelled

    async def drawn_since(self, since: float) -> dict[str, Drawn]:
        return rows.drawn_from(await self._queries.all("count_finished", since=since))
