"""Limits of keys and users, and what is used of them, as responses have them."""

from typing import Any

from pydantic import Field

from pipelet.api.v1.schemas import Output
from pipelet.domain.accounts.limits import UserQuota


class KeyLimitValues(Output):
    """Limits; null for none."""

    max_priority: int | None
    max_queued_images: int | None
    max_running_images: int | None


class UserLimitValues(KeyLimitValues):
    """Limits of the user, for all keys together; null for none. None apply to a key with every scope."""

    max_submits_per_second: float | None
    submit_burst: int
    max_stored_bytes: int | None
    max_webhooks_per_minute: int | None


class UsedByUser(Output):
    """What the user has used. Images are counted for requests to which limits apply."""

    queued_images: int
    running_images: int
    stored_bytes: int
    submits_left: int | None = Field(description="Submits that can be made at once; null without a limit.")


def used_by_user(quota: UserQuota, now: float) -> dict[str, Any]:
    """`UsedByUser`."""
    return {
        "queued_images": quota.queued_images,
        "running_images": quota.running_images,
        "stored_bytes": quota.stored_bytes,
        "submits_left": quota.submits_left(now),
    }
