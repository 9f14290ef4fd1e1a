"""Stored files."""

from collections.abc import Sequence

from pipelet.domain.jobs.job import Lease
from pipelet.store.queries import Queries, SmallStore


class Files(SmallStore[Queries]):
    """Implements `domain.ports.store.FileStore`."""

    async def reserve_input_files(
        self, job_id: str, keys: Sequence[str], delete_after: float, *, user: str = "", size: int = 0
    ) -> None:
        values = {"job_id": job_id, "keys": list(keys), "delete_after": delete_after, "owner": user, "bytes": size}
        await self._queries.write("reserve_input_files", values, notify_watchers=False)

    async def release_input_files(self, job_id: str, now: float) -> list[str]:
        values = {"job_id": job_id, "now": now}
        found = await self._queries.write("release_input_files", values, durable=False, notify_watchers=False)
        return [row["key"] for row in found]

    async def reserve(self, lease: Lease, keys: Sequence[str]) -> bool:
        values = {"id": lease.job.id, "token": lease.token, "keys": list(keys)}
        try:
            return bool(await self._queries.write("reserve_files", values, notify_watchers=False))
        except self._queries.unique_violation as error:
            raise KeyError(f"A file name of {list(keys)} is taken.") from error

    async def note_thumbnail(self, job_id: str, key: str, size: int, delete_after: float) -> bool:
        values = {"job_id": job_id, "key": key, "size": size, "delete_after": delete_after}
        return bool(await self._queries.write("note_thumbnail", values, durable=False, notify_watchers=False))

    async def confirm_thumbnail(self, job_id: str, key: str) -> bool:
        values = {"job_id": job_id, "key": key}
        return bool(await self._queries.write("confirm_thumbnail", values, durable=False, notify_watchers=False))

    async def orphaned(self, now: float, limit: int) -> list[str]:
        return [row["key"] for row in await self._queries.all("list_orphaned_files", now=now, limit=limit)]

    async def delete_rows(self, keys: Sequence[str]) -> None:
        await self._queries.write("delete_files", {"keys": list(keys)}, durable=False, notify_watchers=False)
