"""The outbox: webhooks that are due."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipelet.domain.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryReport, DeliveryState, PendingDeliveries
from pipelet.domain.webhooks.signing_keys import WebhookKey


class Outbox(Protocol):
    """Webhooks that are due. The transaction that ends a job with a webhook, in whatever way, adds it here.

    Delivery is at least once: a delivery stays until its outcome is recorded. No two attempts of one delivery run at
    the same time, unless the first took longer than it announced.
    """

    async def claim(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_endpoints: Sequence[str]
    ) -> Delivery | None:
        """Start the attempt that has been due longest, except those of busy users and endpoints. Until `expires_at` no
        other process starts it."""

    async def record(
        self, delivery: Delivery, attempt: DeliveryAttempt, state: DeliveryState, due_at: float | None
    ) -> bool:
        """End an attempt. Return False if it took too long and another process has taken over."""

    async def claim_event(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_endpoints: Sequence[str]
    ) -> Delivery | None:
        """As `claim`, for what is told of running requests; it counts against its user's limit of webhooks. Of several
        changes of one request since the last attempt, one delivery tells. When a request ends, its events are gone."""

    async def record_event(self, delivery: Delivery, due_at: float, *, is_retry: bool) -> None:
        """End an attempt of an event. None about the same event of the request starts before `due_at`.

        Args:
            is_retry: whether there is one even if nothing has changed.
        """

    async def release(self, delivery: Delivery, now: float) -> None:
        """End an attempt as if it had not started: it is due at once."""

    async def replay(self, job_id: str, now: float) -> bool:
        """Make a delivery due now, with all of its attempts left. Return False if the job has none, or if an attempt is
        under way."""

    async def list_deliveries(
        self, state: DeliveryState | None, limit: int, *, after: tuple[float, str] | None = None
    ) -> list[DeliveryReport]:
        """Return deliveries; that of the job that ended last comes first.

        Args:
            after: `since` and `job_id` of a delivery: only those that come after it.
        """

    async def get_delivery(self, job_id: str) -> DeliveryReport | None:
        """Return the delivery of a job; None if it has none."""

    async def pending(self) -> PendingDeliveries: ...

    async def keys(self) -> list[WebhookKey]:
        """Return the signing keys, oldest first."""

    async def update_keys(self, change: Callable[[Sequence[WebhookKey]], Sequence[WebhookKey]]) -> None:
        """Replace the keys by what `change` returns for them, while no other process can change them. If `change`
        raises, they stay as they are."""
