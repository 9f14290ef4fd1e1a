"""The API keys of the shared store."""

from pipelet.domain.keys import ApiKey
from pipelet.store import rows
from pipelet.store.postgres_base import PostgresBase


class PostgresKeys(PostgresBase):
    async def add_key(self, key: ApiKey) -> None:
        await self._queries.durably("add_key", **rows.key_columns(key))

    async def keys(self) -> list[ApiKey]:
        return [rows.key_from(row) for row in await self._queries.all("list_keys")]

    async def find_key(self, key_hash: bytes) -> ApiKey | None:
        row = await self._queries.one("find_key", hash=key_hash)
        return rows.key_from(row) if row else None

    async def revoke_key(self, key_id: str, now: float) -> bool:
        return bool(await self._queries.durably("revoke_key", id=key_id, now=now))

    async def limit_key(self, key_id: str, *, max_queued_images: int | None, max_running_images: int | None) -> bool:
        limits = {"max_queued_images": max_queued_images, "max_running_images": max_running_images}
        limited = bool(await self._queries.durably("limit_key", id=key_id, **limits))
        self._work.send()  # more of its requests may begin
        return limited
