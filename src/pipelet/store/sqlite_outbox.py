"""The outbox of the embedded store."""

import json
import sqlite3
from collections.abc import Callable, Sequence

from pipelet.domain.webhook_keys import WebhookKey
from pipelet.domain.webhooks import Delivery, DeliveryReport, DeliveryState, Try, Undelivered
from pipelet.store import rows
from pipelet.store.group_commit import GroupCommit
from pipelet.store.sqlite_queries import SQL, SqliteQueries, fetch


class SqliteOutbox:
    """Implements `domain.ports.Outbox`."""

    def __init__(self, queries: SqliteQueries, writer: GroupCommit) -> None:
        self._queries = queries
        self._writer = writer

    async def claim(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_receivers: Sequence[str]
    ) -> Delivery | None:
        busy = {"busy_users": json.dumps(list(busy_users)), "busy_receivers": json.dumps(list(busy_receivers))}
        # Whoever looks around must not take the write lock. Where another was faster, there may be one more.
        while due := self._queries.all("next_webhook", now=now, **busy):
            values = {"job_id": due[0]["job_id"], "now": now, "token": token, "expires_at": expires_at}
            # A power cut may undo it: then the try is made again, as it would be after its process was lost.
            if found := await self._queries.write("claim_webhook", values, durable=False, quiet=True):
                return rows.delivery_from(found[0], token)
        return None

    async def record(self, delivery: Delivery, attempt: Try, state: DeliveryState, due_at: float | None) -> bool:
        held = {"job_id": delivery.job_id, "token": delivery.token}

        def operation(db: sqlite3.Connection) -> bool:
            if not fetch(db, "end_webhook_try", {**held, "state": state, "due_at": due_at}):
                return False
            db.execute(SQL["write_webhook_try"], {**held, **rows.try_columns(attempt)})
            return True

        return await self._writer.write(operation, quiet=True)

    async def hand_back(self, delivery: Delivery, now: float) -> None:
        values = {"job_id": delivery.job_id, "token": delivery.token, "now": now}
        await self._queries.write("hand_back_webhook", values, durable=False, quiet=True)

    async def replay(self, job_id: str, now: float) -> bool:
        return bool(await self._queries.write("replay_webhook", {"job_id": job_id, "now": now}))

    async def reports(self, state: DeliveryState | None, limit: int) -> list[DeliveryReport]:
        return rows.delivery_reports_from(self._queries.all("list_webhooks", state=state, limit=limit))

    async def report(self, job_id: str) -> DeliveryReport | None:
        return next(iter(rows.delivery_reports_from(self._queries.all("find_webhook", job_id=job_id))), None)

    async def undelivered(self) -> Undelivered:
        return rows.undelivered_from(self._queries.all("undelivered_webhooks")[0])

    async def keys(self) -> list[WebhookKey]:
        return [rows.webhook_key_from(row) for row in self._queries.all("list_webhook_keys")]

    async def change_keys(self, change: Callable[[Sequence[WebhookKey]], Sequence[WebhookKey]]) -> None:
        def operation(db: sqlite3.Connection) -> None:
            keys = change([rows.webhook_key_from(row) for row in fetch(db, "list_webhook_keys", {})])
            db.execute(SQL["delete_webhook_keys"])
            db.executemany(SQL["add_webhook_key"], [rows.webhook_key_columns(key) for key in keys])

        await self._writer.write(operation, quiet=True)
