"""The outbox of the shared store."""

from collections.abc import Callable, Sequence

from pipelet.domain.webhooks.delivery import (
    Delivery,
    DeliveryAttempt,
    DeliveryReport,
    DeliveryState,
    PendingDeliveries,
)
from pipelet.domain.webhooks.signing_keys import WebhookKey
from pipelet.store.postgres.connection.notifier import PostgresNotifier
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch
from pipelet.store.rows import outbox as rows


class PostgresOutbox:
    """Implements `domain.ports.store.Outbox`."""

    def __init__(self, pool: ConnectionPool, queries: PostgresQueries, changes: PostgresNotifier) -> None:
        self._pool = pool
        self._queries = queries
        self._changes = changes

    async def claim(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_endpoints: Sequence[str]
    ) -> Delivery | None:
        busy = {"busy_users": list(busy_users), "busy_endpoints": list(busy_endpoints)}
        found = await self._queries.all("claim_webhook", token=token, now=now, expires_at=expires_at, **busy)
        return rows.delivery_from(found[0], token) if found else None

    async def record(
        self, delivery: Delivery, attempt: DeliveryAttempt, state: DeliveryState, due_at: float | None
    ) -> bool:
        held = {"job_id": delivery.job_id, "token": delivery.token}
        columns = {**held, **rows.attempt_columns(attempt)}
        return bool(await self._queries.run_durable("finish_webhook_attempt", state=state, due_at=due_at, **columns))

    async def release(self, delivery: Delivery, now: float) -> None:
        await self._queries.all("release_webhook", job_id=delivery.job_id, token=delivery.token, now=now)

    async def replay(self, job_id: str, now: float) -> bool:
        replayed = bool(await self._queries.run_durable("replay_webhook", job_id=job_id, now=now))
        self._changes.notify()
        return replayed

    async def list_deliveries(self, state: DeliveryState | None, limit: int) -> list[DeliveryReport]:
        return rows.delivery_reports_from(await self._queries.all("list_webhooks", state=state, limit=limit))

    async def get_delivery(self, job_id: str) -> DeliveryReport | None:
        return next(iter(rows.delivery_reports_from(await self._queries.all("get_webhook", job_id=job_id))), None)

    async def pending(self) -> PendingDeliveries:
        return rows.pending_deliveries_from((await self._queries.all("count_pending_webhooks"))[0])

    async def keys(self) -> list[WebhookKey]:
        return [rows.webhook_key_from(row) for row in await self._queries.all("list_webhook_keys")]

    async def update_keys(self, change: Callable[[Sequence[WebhookKey]], Sequence[WebhookKey]]) -> None:
        async def exchange(connection: Connection) -> None:
            await fetch(connection, "lock_webhook_keys", {})
            found = await fetch(connection, "list_webhook_keys", {})
            keys = change([rows.webhook_key_from(row) for row in found])
            await fetch(connection, "delete_webhook_keys", {})
            for key in keys:
                await fetch(connection, "add_webhook_key", rows.webhook_key_columns(key))

        await self._pool.run_durable(exchange)
