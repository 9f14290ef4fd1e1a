"""The workers of the shared store."""

from pipelet.domain.capacity.cost_model import Work
from pipelet.store.postgres.connection.pool import Connection
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch
from pipelet.store.workers import Workers, cost_model_columns, cost_model_from


class PostgresWorkers(Workers[PostgresQueries]):
    async def add_observation(self, profile: str, phase: str, work: Work, seconds: float) -> None:
        key = {"profile": profile, "phase": phase}

        async def observe(connection: Connection) -> None:
            async with connection.transaction():
                await fetch(connection, "lock_cost_model", key)
                found = await fetch(connection, "get_cost_model", key)
                model = cost_model_from(found[0] if found else None).observe(work, seconds)
                await fetch(connection, "put_cost_model", key | cost_model_columns(model))

        await self._queries.pool.run(observe)
