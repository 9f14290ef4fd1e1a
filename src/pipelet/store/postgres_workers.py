"""The workers of the shared store, and what they taught us."""

from pipelet.domain.estimate import Learned, Work
from pipelet.domain.workers import ReportAnswer, WorkerReport
from pipelet.store import rows
from pipelet.store.postgres_base import PostgresBase
from pipelet.store.postgres_connection import Connection
from pipelet.store.postgres_queries import fetch


class PostgresWorkers(PostgresBase):
    async def report_worker(self, report: WorkerReport) -> ReportAnswer:
        return rows.report_answer_from(await self._queries.one("report_worker", **rows.worker_columns(report)))

    async def drain_worker(self, name: str, now: float) -> bool:
        return bool(await self._queries.durably("drain_worker", name=name, now=now))

    async def forget_worker(self, name: str, incarnation: str) -> None:
        await self._queries.all("forget_worker", name=name, incarnation=incarnation)

    async def live_workers(self, now: float) -> list[WorkerReport]:
        return [rows.worker_from(row) for row in await self._queries.all("live_workers", now=now)]

    async def learn(self, kind: str, phase: str, work: Work, seconds: float) -> None:
        at = {"kind": kind, "phase": phase}

        async def observe(connection: Connection) -> None:
            async with connection.transaction():
                await fetch(connection, "lock_learned", at)
                found = await fetch(connection, "get_learned", at)
                known = rows.learned_from(found[0]) if found else Learned()
                await fetch(connection, "put_learned", at | rows.learned_columns(known.observe(work, seconds)))

        await self._connections.run(observe)

    async def learned(self) -> dict[tuple[str, str], Learned]:
        return {(row["kind"], row["phase"]): rows.learned_from(row) for row in await self._queries.all("list_learned")}
