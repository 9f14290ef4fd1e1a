"""Webhooks: the call that an endpoint gets when a request has ended."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a request says about it."""

    url: str
    endpoint: str
    """Its host and port. How many calls run at once is limited for each, and for each user."""
    base_url: str
    """Address of the service, as the client that submitted knows it."""
    events: tuple["WebhookEvent", ...] = ()
    """What it is told while the request runs."""


class WebhookEvent(StrEnum):
    """What is told of a running request. Unlike the end, it is not worth telling late."""

    STARTED = "started"
    PROGRESS = "progress"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    """For its first try, or for another."""
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The right to make one try."""

    job_id: str
    user: str
    endpoint: str
    attempts: int
    """This one included."""
    token: str
    event: WebhookEvent | None = None
    """None: it tells of the end."""


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    at: float
    seconds: float
    code: int | None
    """What the receiver answered; None where it did not."""
    error: str | None
    """Why it does not count; None where it does."""
    is_final: bool = False
    """Trying again would end the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    job_id: str
    user: str
    url: str
    state: DeliveryState
    since: float
    """When the request ended."""
    due_at: float | None
    """When the next try is made, or taken over from a process that was lost; None where there is none."""
    attempts: tuple[DeliveryAttempt, ...]
    """Those whose end is known, oldest first."""


@dataclass(frozen=True, slots=True)
class PendingDeliveries:
    count: int
    oldest: float | None
    """When the request ended that waits for the longest time."""
