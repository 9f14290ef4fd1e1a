"""The outbox of the embedded store."""

import json
import sqlite3
from collections.abc import Callable, Sequence

from pipelet.domain.webhooks.delivery import (
    Delivery,
    DeliveryAttempt,
    DeliveryReport,
    DeliveryState,
    PendingDeliveries,
)
from pipelet.domain.webhooks.signing_keys import WebhookKey
from pipelet.store.rows import outbox as rows
from pipelet.store.sqlite.connection.group_commit import GroupCommit
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, fetch


class SqliteOutbox:
    """Implements `domain.ports.store.Outbox`."""

    def __init__(self, queries: SqliteQueries, writer: GroupCommit) -> None:
        self._queries = queries
        self._writer = writer

    async def claim(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_endpoints: Sequence[str]
    ) -> Delivery | None:
        busy = {"busy_users": json.dumps(list(busy_users)), "busy_endpoints": json.dumps(list(busy_endpoints))}
        # A poll must not take the write lock. If another process was faster, there may be one more.
        while due := self._queries.all("next_webhook", now=now, **busy):
            values = {"job_id": due[0]["job_id"], "now": now, "token": token, "expires_at": expires_at}
            # A power cut may undo it: then the attempt is repeated, as after its process was lost.
            if found := await self._queries.write("claim_webhook", values, durable=False, notify_watchers=False):
                return rows.delivery_from(found[0], token)
        return None

    async def record(
        self, delivery: Delivery, attempt: DeliveryAttempt, state: DeliveryState, due_at: float | None
    ) -> bool:
        held = {"job_id": delivery.job_id, "token": delivery.token}

        def operation(db: sqlite3.Connection) -> bool:
            if not fetch(db, "finish_webhook_attempt", {**held, "state": state, "due_at": due_at}):
                return False
            db.execute(SQL["insert_webhook_attempt"], {**held, **rows.attempt_columns(attempt)})
            return True

        return await self._writer.write(operation, notify_watchers=False)

    async def release(self, delivery: Delivery, now: float) -> None:
        values = {"job_id": delivery.job_id, "token": delivery.token, "now": now}
        await self._queries.write("release_webhook", values, durable=False, notify_watchers=False)

    async def replay(self, job_id: str, now: float) -> bool:
        return bool(await self._queries.write("replay_webhook", {"job_id": job_id, "now": now}))

    async def list_deliveries(self, state: DeliveryState | None, limit: int) -> list[DeliveryReport]:
        return rows.delivery_reports_from(self._queries.all("list_webhooks", state=state, limit=limit))

    async def get_delivery(self, job_id: str) -> DeliveryReport | None:
        return next(iter(rows.delivery_reports_from(self._queries.all("get_webhook", job_id=job_id))), None)

    async def pending(self) -> PendingDeliveries:
        return rows.pending_deliveries_from(self._queries.all("count_pending_webhooks")[0])

    async def keys(self) -> list[WebhookKey]:
        return [rows.webhook_key_from(row) for row in self._queries.all("list_webhook_keys")]

    async def update_keys(self, change: Callable[[Sequence[WebhookKey]], Sequence[WebhookKey]]) -> None:
        def operation(db: sqlite3.Connection) -> None:
            keys = change([rows.webhook_key_from(row) for row in fetch(db, "list_webhook_keys", {})])
            db.execute(SQL["delete_webhook_keys"])
            db.executemany(SQL["add_webhook_key"], [rows.webhook_key_columns(key) for key in keys])

        await self._writer.write(operation, notify_watchers=False)
