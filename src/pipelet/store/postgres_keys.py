"""The API keys of the shared store."""

from pipelet.domain.keys import ApiKey, KeyLimits
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
        revoked = bool(await self._queries.durably("revoke_key", id=key_id, now=now))
        self._news.send()  # its streams end
        return revoked

    async def revoked_keys(self, since: float) -> set[str]:
        return {row["id"] for row in await self._queries.all("revoked_keys", since=since)}

    async def limit_key(self, key_id: str, limits: KeyLimits) -> ApiKey | None:
        found = await self._queries.durably("limit_key", id=key_id, **rows.limit_columns(limits))
        self._work.send()  # more of its requests may begin
        return rows.key_from(found[0]) if found else None
