"""When a failed delivery of a webhook is attempted again."""

from pipelet.domain.webhooks.delivery import DeliveryAttempt, DeliveryState

RETRY_DELAYS = (5, 15, 60, 120, 300, 600, 900, 1200, 1200, 1500, 1800)
"""Seconds between one attempt and the next. With the first that is twelve attempts, over more than two hours."""
MAX_ATTEMPTS = 1 + len(RETRY_DELAYS)
MAX_EVENT_ATTEMPTS = 3
EVENT_INTERVAL = 1.0
"""Seconds between two calls of one request that tell of its progress."""
_JITTER = 0.25
"""The most that a wait is lengthened by chance, as a share: receivers that were away are not all called at once."""


def next_state(
    attempt: DeliveryAttempt, attempts: int, now: float, chance: float
) -> tuple[DeliveryState, float | None]:
    """Return what follows from attempt number `attempts`, and when the next is due. `chance` is from 0 to 1."""
    if attempt.error is None:
        return DeliveryState.DELIVERED, None
    if attempt.is_final or attempts >= MAX_ATTEMPTS:
        return DeliveryState.FAILED, None
    return DeliveryState.WAITING, now + RETRY_DELAYS[attempts - 1] * (1 + _JITTER * chance)


def next_event_at(attempt: DeliveryAttempt, attempts: int, now: float) -> tuple[float, bool]:
    """Return when the next call about an event may be made, and whether the same is told again."""
    if attempt.error is None or attempt.is_final or attempts >= MAX_EVENT_ATTEMPTS:
        return now + EVENT_INTERVAL, False
    return now + RETRY_DELAYS[attempts - 1], True
