"""The outbox of the shared store."""

from collections.abc import Callable, Sequence

from pipelet.domain.webhook_keys import WebhookKey
from pipelet.domain.webhooks import Delivery, DeliveryReport, DeliveryState, Try, Undelivered
from pipelet.store import rows
from pipelet.store.notifications import Notifications
from pipelet.store.postgres_connection import Connection, Connections
from pipelet.store.postgres_queries import PostgresQueries, fetch


class PostgresOutbox:
    """Implements `domain.ports.Outbox`."""

    def __init__(self, connections: Connections, queries: PostgresQueries, news: Notifications) -> None:
        self._connections = connections
        self._queries = queries
        self._news = news

    async def claim(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_receivers: Sequence[str]
    ) -> Delivery | None:
        busy = {"busy_users": list(busy_users), "busy_receivers": list(busy_receivers)}
        found = await self._queries.all("claim_webhook", token=token, now=now, expires_at=expires_at, **busy)
        return rows.delivery_from(found[0], token) if found else None

    async def record(self, delivery: Delivery, attempt: Try, state: DeliveryState, due_at: float | None) -> bool:
        held = {"job_id": delivery.job_id, "token": delivery.token}
        columns = {**held, **rows.try_columns(attempt)}
        return bool(await self._queries.durably("end_webhook_try", state=state, due_at=due_at, **columns))

    async def hand_back(self, delivery: Delivery, now: float) -> None:
        await self._queries.all("hand_back_webhook", job_id=delivery.job_id, token=delivery.token, now=now)

    async def replay(self, job_id: str, now: float) -> bool:
        replayed = bool(await self._queries.durably("replay_webhook", job_id=job_id, now=now))
        self._news.send()
        return replayed

    async def reports(self, state: DeliveryState | None, limit: int) -> list[DeliveryReport]:
        return rows.delivery_reports_from(await self._queries.all("list_webhooks", state=state, limit=limit))

    async def report(self, job_id: str) -> DeliveryReport | None:
        return next(iter(rows.delivery_reports_from(await self._queries.all("find_webhook", job_id=job_id))), None)

    async def undelivered(self) -> Undelivered:
        return rows.undelivered_from((await self._queries.all("undelivered_webhooks"))[0])

    async def keys(self) -> list[WebhookKey]:
        return [rows.webhook_key_from(row) for row in await self._queries.all("list_webhook_keys")]

    async def change_keys(self, change: Callable[[Sequence[WebhookKey]], Sequence[WebhookKey]]) -> None:
        async def exchange(connection: Connection) -> None:
            await fetch(connection, "lock_webhook_keys", {})
            found = await fetch(connection, "list_webhook_keys", {})
            keys = change([rows.webhook_key_from(row) for row in found])
            await fetch(connection, "delete_webhook_keys", {})
            for key in keys:
                await fetch(connection, "add_webhook_key", rows.webhook_key_columns(key))

        await self._connections.durably(exchange)
