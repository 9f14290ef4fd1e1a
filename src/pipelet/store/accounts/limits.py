"""Limits of users, what is used of them, and what they refused."""

from collections.abc import Mapping
from typing import Any

from pipelet.domain.accounts.audit import AuditEntry
from pipelet.domain.accounts.limits import (
    DEFAULT_BURST,
    NO_LIMITS,
    USER_LIMIT_NAMES,
    Refusal,
    UserLimitChanges,
    UserLimits,
    UserQuota,
)
from pipelet.store.accounts.audit import with_entry
from pipelet.store.queries import Queries, SmallStore
from pipelet.store.rows import Row, from_row


class Limits(SmallStore[Queries]):
    """Implements `domain.ports.limits.LimitStore`."""

    async def get(self, user: str) -> UserLimits:
        row = await self._queries.one("get_user_limits", owner=user)
        return NO_LIMITS if row is None else from_row(UserLimits, row)

    async def change(self, user: str, changes: UserLimitChanges, entry: AuditEntry | None = None) -> UserLimits:
        given: Mapping[str, Any] = {**changes}
        values = {name: given.get(name) for name in USER_LIMIT_NAMES}
        values["submit_burst"] = given.get("submit_burst", DEFAULT_BURST)
        is_set = {f"set_{name}": name in given for name in USER_LIMIT_NAMES}
        change = ("change_user_limits", {"owner": user, **values, **is_set})
        [row] = await self._queries.write_all(with_entry(change, entry), notify_workers=True)  # more jobs may start
        return from_row(UserLimits, row)

    async def quota(self, user: str) -> UserQuota:
        row = await self._queries.one("get_user_quota", owner=user)
        if row is not None:
            return quota_from(row)
        [stored] = await self._queries.all("get_stored_bytes", owner=user)
        return UserQuota(limits=NO_LIMITS, stored_bytes=stored["stored_bytes"])

    async def add_refusals(self, refusal: Refusal, requests: int) -> None:
        values = {"day": refusal.day, "owner": refusal.user, "reason": refusal.reason, "requests": requests}
        await self._queries.write("add_refusals", values, durable=False, notify_watchers=False)

    async def refusals(self, since: str, *, user: str | None = None) -> dict[Refusal, int]:
        found = await self._queries.all("list_refusals", since=since, owner=user)
        return {Refusal(row["day"], row["owner"], row["reason"]): row["requests"] for row in found}

    async def delete_refusals(self, before: str) -> None:
        await self._queries.write("delete_refusals", {"before": before}, durable=False, notify_watchers=False)


def quota_from(row: Row) -> UserQuota:
    return from_row(UserQuota, row, limits=from_row(UserLimits, row))
