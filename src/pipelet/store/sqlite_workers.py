"""The workers of the embedded store, and what they taught us."""

import sqlite3

from pipelet.domain.estimate import Learned, Work
from pipelet.domain.workers import ReportAnswer, WorkerReport
from pipelet.store import rows
from pipelet.store.sqlite_base import SqliteBase
from pipelet.store.sqlite_queries import SQL, fetch_one


class SqliteWorkers(SqliteBase):
    async def report_worker(self, report: WorkerReport) -> ReportAnswer:
        found = await self._queries.write("report_worker", rows.worker_columns(report), durable=False, quiet=True)
        return rows.report_answer_from(next(iter(found), None))

    async def drain_worker(self, name: str, now: float) -> bool:
        return bool(await self._queries.write("drain_worker", {"name": name, "now": now}))

    async def forget_worker(self, name: str, incarnation: str) -> None:
        await self._queries.write("forget_worker", {"name": name, "incarnation": incarnation})

    async def live_workers(self, now: float) -> list[WorkerReport]:
        return [rows.worker_from(row) for row in self._queries.all("live_workers", now=now)]

    async def learn(self, kind: str, phase: str, work: Work, seconds: float) -> None:
        def operation(db: sqlite3.Connection) -> None:
            at = {"kind": kind, "phase": phase}
            row = fetch_one(db, "get_learned", at)
            known = rows.learned_from(row) if row else Learned()
            db.execute(SQL["put_learned"], at | rows.learned_columns(known.observe(work, seconds)))

        await self._writer.write(operation, durable=False, quiet=True)

    async def learned(self) -> dict[tuple[str, str], Learned]:
        return {(row["kind"], row["phase"]): rows.learned_from(row) for row in self._queries.all("list_learned")}
