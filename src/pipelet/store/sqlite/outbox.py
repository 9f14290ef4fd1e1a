"""The outbox of the embedded store."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict

from pipelet.domain.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryState
from pipelet.domain.webhooks.signing_keys import WebhookKey
from pipelet.store.outbox import Outbox, delivery_from, ended_attempt_columns, webhook_keys_from
from pipelet.store.sqlite.connection.queries import SQL, SqliteQueries, change, fetch


class SqliteOutbox(Outbox[SqliteQueries]):
    async def claim(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_endpoints: Sequence[str]
    ) -> Delivery | None:
        busy = {"busy_users": list(busy_users), "busy_endpoints": list(busy_endpoints)}
        # A poll must not take the write lock. If another process was faster, there may be one more.
        while due := await self._queries.one("next_webhook", now=now, **busy):
            values = {"job_id": due["job_id"], "now": now, "token": token, "expires_at": expires_at}
            # A power cut may undo it: then the attempt is repeated, as after its process was lost.
            if found := await self._queries.write("claim_webhook", values, durable=False, notify_watchers=False):
                return delivery_from(found[0], token)
        return None

    async def claim_event(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_endpoints: Sequence[str]
    ) -> Delivery | None:
        busy = {"busy_users": list(busy_users), "busy_endpoints": list(busy_endpoints)}
        while due := await self._queries.one("next_webhook_event", now=now, **busy):
            key = {"job_id": due["job_id"], "event": due["event"]}
            values = key | {"now": now, "token": token, "expires_at": expires_at}
            found = await self._queries.write("claim_webhook_event", values, durable=False, notify_watchers=False)
            if found:
                return await self._claimed_event(found[0], token, now)
        return None

    async def record(
        self, delivery: Delivery, attempt: DeliveryAttempt, state: DeliveryState, due_at: float | None
    ) -> bool:
        values = ended_attempt_columns(delivery, attempt) | {"state": state, "due_at": due_at}
        return await self._queries.writer.write(
            lambda db: change(db, values, "finish_webhook_attempt", "insert_webhook_attempt"), notify_watchers=False
        )

    async def update_keys(self, change: Callable[[Sequence[WebhookKey]], Sequence[WebhookKey]]) -> None:
        def operation(db: sqlite3.Connection) -> None:
            keys = change(webhook_keys_from(fetch(db, "list_webhook_keys", {})))
            db.execute(SQL["delete_webhook_keys"])
            db.executemany(SQL["add_webhook_key"], map(asdict, keys))

        await self._queries.writer.write(operation, notify_watchers=False)
