"""The outbox of the embedded store."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pipelet.domain.webhook_keys import WebhookKey
from pipelet.domain.webhooks import Delivery, DeliveryReport, DeliveryState, Try, Undelivered
from pipelet.store import queries, rows
from pipelet.store.group_commit import GroupCommit

SQL = queries.load("sqlite")


class SqliteOutbox:
    """Implements `domain.ports.Outbox`. `read` runs a query by its name."""

    def __init__(self, read: Callable[..., list[sqlite3.Row]], writer: GroupCommit) -> None:
        self._read = read
        self._writer = writer

    async def claim(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_receivers: Sequence[str]
    ) -> Delivery | None:
        busy = {"busy_users": json.dumps(list(busy_users)), "busy_receivers": json.dumps(list(busy_receivers))}
        # Whoever looks around must not take the write lock. Where another was faster, there may be one more.
        while due := self._read("next_webhook", now=now, **busy):
            values = {"job_id": due[0]["job_id"], "now": now, "token": token, "expires_at": expires_at}
            # A power cut may undo it: then the try is made again, as it would be after its process was lost.
            if found := await self._writer.write(partial(_claim, values=values), durable=False, quiet=True):
                return rows.delivery_from(found[0], token)
        return None

    async def record(self, delivery: Delivery, attempt: Try, state: DeliveryState, due_at: float | None) -> bool:
        held = {"job_id": delivery.job_id, "token": delivery.token}

        def operation(db: sqlite3.Connection) -> bool:
            if not _all(db, "end_webhook_try", {**held, "state": state, "due_at": due_at}):
                return False
            db.execute(SQL["write_webhook_try"], {**held, **rows.try_columns(attempt)})
            return True

        return await self._writer.write(operation, quiet=True)

    async def hand_back(self, delivery: Delivery, now: float) -> None:
        values = {"job_id": delivery.job_id, "token": delivery.token, "now": now}
        await self._writer.write(lambda db: _all(db, "hand_back_webhook", values), durable=False, quiet=True)

    async def replay(self, job_id: str, now: float) -> bool:
        values = {"job_id": job_id, "now": now}
        return bool(await self._writer.write(lambda db: _all(db, "replay_webhook", values)))

    async def reports(self, state: DeliveryState | None, limit: int) -> list[DeliveryReport]:
        return rows.delivery_reports_from(self._read("list_webhooks", state=state, limit=limit))

    async def report(self, job_id: str) -> DeliveryReport | None:
        return next(iter(rows.delivery_reports_from(self._read("find_webhook", job_id=job_id))), None)

    async def undelivered(self) -> Undelivered:
        return rows.undelivered_from(self._read("undelivered_webhooks")[0])

    async def keys(self) -> list[WebhookKey]:
        return [rows.webhook_key_from(row) for row in self._read("list_webhook_keys")]

    async def change_keys(self, change: Callable[[Sequence[WebhookKey]], Sequence[WebhookKey]]) -> None:
        def operation(db: sqlite3.Connection) -> None:
            keys = change([rows.webhook_key_from(row) for row in _all(db, "list_webhook_keys", {})])
            db.execute(SQL["delete_webhook_keys"])
            db.executemany(SQL["add_webhook_key"], [rows.webhook_key_columns(key) for key in keys])

        await self._writer.write(operation, quiet=True)


def _claim(db: sqlite3.Connection, values: dict[str, Any]) -> list[sqlite3.Row]:
    return _all(db, "claim_webhook", values)


def _all(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> list[sqlite3.Row]:
    # All rows are fetched, so that no statement stays open and holds the commit back.
    return db.execute(SQL[query], values).fetchall()
