"""The workers of the embedded store, and their cost models."""

import sqlite3

from pipelet.domain.capacity.cost_model import CostModel, Work
from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.store.rows import workers as rows
from pipelet.store.sqlite.connection.group_commit import GroupCommit
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, fetch_one


class SqliteWorkers:
    """Implements `domain.ports.store.WorkerStore`."""

    def __init__(self, queries: SqliteQueries, writer: GroupCommit) -> None:
        self._queries = queries
        self._writer = writer

    async def heartbeat(self, report: WorkerHeartbeat) -> HeartbeatReply:
        found = await self._queries.write(
            "heartbeat", rows.worker_columns(report), durable=False, notify_watchers=False
        )
        return rows.heartbeat_reply_from(next(iter(found), None))

    async def drain(self, name: str, now: float) -> bool:
        return bool(await self._queries.write("drain_worker", {"name": name, "now": now}))

    async def deregister(self, name: str, incarnation: str) -> None:
        await self._queries.write("deregister_worker", {"name": name, "incarnation": incarnation})

    async def live(self, now: float) -> list[WorkerHeartbeat]:
        return [rows.worker_from(row) for row in self._queries.all("list_live_workers", now=now)]

    async def add_observation(self, profile: str, phase: str, work: Work, seconds: float) -> None:
        def operation(db: sqlite3.Connection) -> None:
            key = {"profile": profile, "phase": phase}
            model = rows.cost_model_from(fetch_one(db, "get_cost_model", key)).observe(work, seconds)
            db.execute(SQL["put_cost_model"], key | rows.cost_model_columns(model))

        await self._writer.write(operation, durable=False, notify_watchers=False)

    async def cost_models(self) -> dict[tuple[str, str], CostModel]:
        found = self._queries.all("list_cost_models")
        return {(row["profile"], row["phase"]): rows.cost_model_from(row) for row in found}
