"""The API keys of the embedded store."""

from pipelet.domain.keys import ApiKey
from pipelet.store import rows
from pipelet.store.sqlite_base import SqliteBase


class SqliteKeys(SqliteBase):
    async def add_key(self, key: ApiKey) -> None:
        await self._queries.write("add_key", rows.key_columns(key))

    async def keys(self) -> list[ApiKey]:
        return [rows.key_from(row) for row in self._queries.all("list_keys")]

    async def find_key(self, key_hash: bytes) -> ApiKey | None:
        row = self._queries.one("find_key", hash=key_hash)
        return rows.key_from(row) if row else None

    async def revoke_key(self, key_id: str, now: float) -> bool:
        return bool(await self._queries.write("revoke_key", {"id": key_id, "now": now}))

    async def limit_key(self, key_id: str, *, max_queued_images: int | None, max_running_images: int | None) -> bool:
        limits = {"max_queued_images": max_queued_images, "max_running_images": max_running_images}
        # More of its requests may begin.
        return bool(await self._queries.write("limit_key", {"id": key_id, **limits}, announced=True))
