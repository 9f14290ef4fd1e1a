"""Changes of requests, for streams."""

from collections.abc import Sequence

from pipelet.domain.ports.changes import KEPT_DELETIONS, DeletedRequest, RequestOfUser
from pipelet.store.queries import Queries, SmallStore


class Changes(SmallStore[Queries]):
    """Implements `domain.ports.changes.ChangeStore`."""

    async def newest(self, user: str, limit: int) -> list[str]:
        return [row["id"] for row in await self._queries.all("list_newest_requests", user=user, limit=limit)]

    async def active(self, users: Sequence[str], since: float, limit: int) -> list[RequestOfUser]:
        found = await self._queries.all("list_active_requests", users=list(users), since=since, limit=limit)
        return [RequestOfUser(row["owner"], row["id"]) for row in found]

    async def deletions(self, after: int, limit: int) -> list[DeletedRequest]:
        found = await self._queries.all("list_deletions", after=after, limit=limit)
        return [DeletedRequest(row["number"], row["owner"], row["id"]) for row in found]

    async def deletion_numbers(self) -> range:
        [row] = await self._queries.all("get_deletion_numbers")
        return range(1, 1) if row["first"] is None else range(row["first"], row["last"] + 1)

    async def forget_deletions(self, limit: int) -> int:
        values = {"kept": KEPT_DELETIONS, "limit": limit}
        return len(await self._queries.write("forget_deletions", values, durable=False, notify_watchers=False))
