"""The workers of the shared store, and their cost models."""

from pipelet.domain.capacity.cost_model import CostModel, Work
from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch
from pipelet.store.rows import workers as rows


class PostgresWorkers:
    """Implements `domain.ports.store.WorkerStore`."""

    def __init__(self, pool: ConnectionPool, queries: PostgresQueries) -> None:
        self._pool = pool
        self._queries = queries

    async def heartbeat(self, report: WorkerHeartbeat) -> HeartbeatReply:
        return rows.heartbeat_reply_from(await self._queries.one("heartbeat", **rows.worker_columns(report)))

    async def drain(self, name: str, now: float) -> bool:
        return bool(await self._queries.run_durable("drain_worker", name=name, now=now))

    async def deregister(self, name: str, incarnation: str) -> None:
        await self._queries.all("deregister_worker", name=name, incarnation=incarnation)

    async def live(self, now: float) -> list[WorkerHeartbeat]:
        return [rows.worker_from(row) for row in await self._queries.all("list_live_workers", now=now)]

    async def add_observation(self, profile: str, phase: str, work: Work, seconds: float) -> None:
        key = {"profile": profile, "phase": phase}

        async def observe(connection: Connection) -> None:
            async with connection.transaction():
                await fetch(connection, "lock_cost_model", key)
                found = await fetch(connection, "get_cost_model", key)
                model = rows.cost_model_from(found[0] if found else None).observe(work, seconds)
                await fetch(connection, "put_cost_model", key | rows.cost_model_columns(model))

        await self._pool.run(observe)

    async def cost_models(self) -> dict[tuple[str, str], CostModel]:
        found = await self._queries.all("list_cost_models")
        return {(row["profile"], row["phase"]): rows.cost_model_from(row) for row in found}
