"""Webhook deliveries, their attempts and their signing keys as rows."""

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
)
from pipelet.domain.webhooks.signing_keys import Role, WebhookKey
from pipelet.store.rows import Row
from pipelet.store.rows.jobs import webhook_from


def delivery_from(row: Row, token: str) -> Delivery:
    return Delivery(
        job_id=row["job_id"], user=row["owner"], endpoint=row["endpoint"], attempts=row["attempts"], token=token
    )


def attempt_columns(attempt: DeliveryAttempt) -> dict[str, Any]:
    return {"at": attempt.at, "seconds": attempt.seconds, "code": attempt.code, "error": attempt.error}


def delivery_reports_from(found: Iterable[Row]) -> list[DeliveryReport]:
    """Read one row per attempt; a delivery without attempts has one row without an attempt."""
    return [_delivery_report_from(list(of_one)) for _, of_one in groupby(found, key=lambda row: row["job_id"])]


def _delivery_report_from(of_one: Sequence[Row]) -> DeliveryReport:
    first = of_one[0]
    webhook = webhook_from(first["webhook"])
    assert webhook is not None  # noqa: S101 - a delivery has one
    attempts = (row for row in of_one if row["at"] is not None)
    return DeliveryReport(
        job_id=first["job_id"],
        url=webhook.url,
        state=DeliveryState(first["state"]),
        since=first["since"],
        due_at=first["due_at"],
        attempts=tuple(DeliveryAttempt(row["at"], row["seconds"], row["code"], row["error"]) for row in attempts),
    )


def pending_deliveries_from(row: Row) -> PendingDeliveries:
    return PendingDeliveries(row["count"], row["oldest"])


def webhook_key_from(row: Row) -> WebhookKey:
    return WebhookKey(
        id=row["id"],
        role=Role(row["role"]),
        private=bytes(row["private"]),
        public=bytes(row["public"]),
        created_at=row["created_at"],
        retired_at=row["retired_at"],
    )


def webhook_key_columns(key: WebhookKey) -> dict[str, Any]:
    return asdict(key)
