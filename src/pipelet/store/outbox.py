"""The outbox: webhook deliveries, their attempts and their signing keys."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from pipelet.domain.webhooks.delivery import (
    Delivery,
    DeliveryAttempt,
    DeliveryReport,
    DeliveryState,
    PendingDeliveries,
    WebhookEvent,
)
from pipelet.domain.webhooks.signing_keys import Role, WebhookKey
from pipelet.store.queries import DialectQueries, SmallStore
from pipelet.store.rows import Row, from_row, webhook_from

_NEWEST = (1e300, "")
"""A place before every delivery."""


class Outbox(SmallStore[DialectQueries]):
    """Implements `domain.ports.outbox.Outbox`, except `claim`, `claim_event`, `record` and `update_keys`."""

    async def record_event(self, delivery: Delivery, due_at: float, *, is_retry: bool) -> None:
        values = {
            "job_id": delivery.job_id,
            "event": delivery.event,
            "token": delivery.token,
            "due_at": due_at,
            "is_retry": is_retry,
        }
        await self._queries.write("finish_webhook_event", values, durable=False, notify_watchers=False)

    async def _claimed_event(self, row: Row, token: str, now: float) -> Delivery:
        # On its own: locks of an event and of a user's pace, taken together, could wait for each other.
        values = {"owner": row["owner"], "now": now}
        await self._queries.write("charge_webhook_pace", values, durable=False, notify_watchers=False)
        return delivery_from(row, token, event=WebhookEvent(row["event"]))

    async def release(self, delivery: Delivery, now: float) -> None:
        values = {"job_id": delivery.job_id, "token": delivery.token, "now": now}
        await self._queries.write("release_webhook", values, durable=False, notify_watchers=False)

    async def replay(self, job_id: str, now: float) -> bool:
        return bool(await self._queries.write("replay_webhook", {"job_id": job_id, "now": now}))

    async def list_deliveries(
        self, state: DeliveryState | None, limit: int, *, after: tuple[float, str] | None = None
    ) -> list[DeliveryReport]:
        since, job_id = after or _NEWEST
        values: dict[str, Any] = {"limit": limit, "after_since": since, "after_id": job_id}
        # One row for each attempt; a delivery without attempts has one row without an attempt.
        if state is None:
            found = await self._queries.all("list_webhooks", **values)
        else:
            found = await self._queries.all("list_webhooks_in_state", state=state, **values)
        return [_report_from(list(of_one)) for _, of_one in groupby(found, key=lambda row: row["job_id"])]

    async def get_delivery(self, job_id: str) -> DeliveryReport | None:
        found = await self._queries.all("get_webhook", job_id=job_id)
        return _report_from(found) if found else None

    async def pending(self) -> PendingDeliveries:
        [row] = await self._queries.all("count_pending_webhooks")
        return from_row(PendingDeliveries, row)

    async def keys(self) -> list[WebhookKey]:
        return webhook_keys_from(await self._queries.all("list_webhook_keys"))


def delivery_from(row: Row, token: str, *, event: WebhookEvent | None = None) -> Delivery:
    return from_row(Delivery, row, user=row["owner"], token=token, event=event)


def ended_attempt_columns(delivery: Delivery, attempt: DeliveryAttempt) -> dict[str, Any]:
    return {**asdict(attempt), "job_id": delivery.job_id, "token": delivery.token}


def webhook_keys_from(found: Iterable[Row]) -> list[WebhookKey]:
    return [
        from_row(WebhookKey, row, role=Role(row["role"]), private=bytes(row["private"]), public=bytes(row["public"]))
        for row in found
    ]


def _report_from(of_one: Sequence[Row]) -> DeliveryReport:
    first = of_one[0]
    webhook = webhook_from(first["webhook"])
    assert webhook is not None  # noqa: S101 - a delivery has one
    attempts = (row for row in of_one if row["at"] is not None)
    return from_row(
        DeliveryReport,
        first,
        user=first["owner"],
        url=webhook.url,
        state=DeliveryState(first["state"]),
        attempts=tuple(from_row(DeliveryAttempt, row, is_final=False) for row in attempts),
    )
