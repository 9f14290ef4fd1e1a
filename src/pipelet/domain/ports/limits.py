"""Limits of users."""

from typing import Protocol

from pipelet.domain.accounts.audit import AuditEntry
from pipelet.domain.accounts.limits import Refusal, UserLimitChanges, UserLimits, UserQuota


class LimitStore(Protocol):
    """Limits of users, what is used of them, and how often they refused a request.

    `JobStore.submit` checks and counts a job against the limits of its user.
    """

    async def get(self, user: str) -> UserLimits:
        """Return the limits of a user: none, if none was ever set."""

    async def change(self, user: str, changes: UserLimitChanges, entry: AuditEntry | None = None) -> UserLimits:
        """Change the limits that are in `changes`, and no others, and note it in the audit trail. Return all of them.

        Jobs that were submitted while the user had no limits do not count against one of images.
        """

    async def quota(self, user: str) -> UserQuota:
        """Return the limits of a user and what is used of them now. Other submits may use more at the same moment."""

    async def add_refusals(self, refusal: Refusal, requests: int) -> None:
        """Add to the number of refused requests of a user, a day and a reason."""

    async def refusals(self, since: str, *, user: str | None = None) -> dict[Refusal, int]:
        """Return the numbers of refused requests from the day `since` on, of one user or of all."""

    async def delete_refusals(self, before: str) -> None:
        """Delete the numbers of days before `before`."""
