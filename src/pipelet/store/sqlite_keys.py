"""The API keys of the embedded store."""

from pipelet.domain.keys import ApiKey, KeyLimits
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

    async def revoked_keys(self, since: float) -> set[str]:
        return {row["id"] for row in self._queries.all("revoked_keys", since=since)}

    async def limit_key(self, key_id: str, limits: KeyLimits) -> ApiKey | None:
        # More of its requests may begin.
        found = await self._queries.write("limit_key", {"id": key_id, **rows.limit_columns(limits)}, announced=True)
        return rows.key_from(found[0]) if found else None
