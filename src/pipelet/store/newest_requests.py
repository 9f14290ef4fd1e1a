"""The newest request of each user through one API."""

from pipelet.store.queries import Queries, SmallStore


class NewestRequests(SmallStore[Queries]):
    """Implements `domain.ports.newest_requests.NewestRequestStore`."""

    async def get(self, user: str, api: str) -> str | None:
        found = await self._queries.one("get_newest_request", owner=user, api=api)
        return None if found is None else str(found["job_id"])

    async def set(self, user: str, api: str, job_id: str) -> None:
        values = {"owner": user, "api": api, "job_id": job_id}
        await self._queries.write("set_newest_request", values, durable=False, notify_watchers=False)
