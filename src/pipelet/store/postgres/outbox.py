"""The outbox of the shared store."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from pipelet.domain.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryState
from pipelet.domain.webhooks.signing_keys import WebhookKey
from pipelet.store.outbox import Outbox, delivery_from, ended_attempt_columns, webhook_keys_from
from pipelet.store.postgres.connection.pool import Connection
from pipelet.store.postgres.connection.queries import PostgresQueries, fetch


class PostgresOutbox(Outbox[PostgresQueries]):
    async def claim(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_endpoints: Sequence[str]
    ) -> Delivery | None:
        busy = {"busy_users": list(busy_users), "busy_endpoints": list(busy_endpoints)}
        row = await self._queries.one("claim_webhook", token=token, now=now, expires_at=expires_at, **busy)
        return None if row is None else delivery_from(row, token)

    async def claim_event(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_endpoints: Sequence[str]
    ) -> Delivery | None:
        busy = {"busy_users": list(busy_users), "busy_endpoints": list(busy_endpoints)}
        row = await self._queries.one("claim_webhook_event", token=token, now=now, expires_at=expires_at, **busy)
        return None if row is None else await self._claimed_event(row, token, now)

    async def record(
        self, delivery: Delivery, attempt: DeliveryAttempt, state: DeliveryState, due_at: float | None
    ) -> bool:
        values = ended_attempt_columns(delivery, attempt) | {"state": state, "due_at": due_at}
        return bool(await self._queries.write("finish_webhook_attempt", values, notify_watchers=False))

    async def update_keys(self, change: Callable[[Sequence[WebhookKey]], Sequence[WebhookKey]]) -> None:
        async def exchange(connection: Connection) -> None:
            await fetch(connection, "lock_webhook_keys", {})
            keys = change(webhook_keys_from(await fetch(connection, "list_webhook_keys", {})))
            await fetch(connection, "delete_webhook_keys", {})
            for key in keys:
                await fetch(connection, "add_webhook_key", asdict(key))

        await self._queries.pool.run_durable(exchange)
