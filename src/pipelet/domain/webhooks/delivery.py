"""Webhooks: the call that a receiver gets when a request has ended, and when it is made again."""

from dataclasses import dataclass
from enum import StrEnum

RETRY_DELAYS = (5, 15, 60, 120, 300, 600, 900, 1200, 1200, 1500, 1800)
"""Seconds between one attempt and the next. With the first that is twelve attempts, over more than two hours."""
MAX_ATTEMPTS = 1 + len(RETRY_DELAYS)
_JITTER = 0.25
"""The most that a wait is lengthened by chance, as a share: receivers that were away are not all called at once."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a request says about it."""

    url: str
    endpoint: str
    """Its host and port. How many calls run at once is limited for each, and for each user."""
    base_url: str
    """Address of the service, as the client that submitted knows it."""


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


def next_state(
    attempt: DeliveryAttempt, attempts: int, now: float, chance: float
) -> tuple[DeliveryState, float | None]:
    """Return what follows from attempt number `attempts`, and when the next is due. `chance` is from 0 to 1."""
    if attempt.error is None:
        return DeliveryState.DELIVERED, None
    if attempt.is_final or attempts >= MAX_ATTEMPTS:
        return DeliveryState.FAILED, None
    return DeliveryState.WAITING, now + RETRY_DELAYS[attempts - 1] * (1 + _JITTER * chance)
