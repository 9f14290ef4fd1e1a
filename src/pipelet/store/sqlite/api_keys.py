"""The API keys of the embedded store."""

from pipelet.domain.accounts.api_keys import ApiKey, KeyLimits
from pipelet.store.rows import api_keys as rows
from pipelet.store.sqlite.connection.queries import SqliteQueries


class SqliteApiKeys:
    """Implements `domain.ports.store.ApiKeyStore`."""

    def __init__(self, queries: SqliteQueries) -> None:
        self._queries = queries

    async def add(self, key: ApiKey) -> None:
        await self._queries.write("add_api_key", rows.api_key_columns(key))

    async def list_keys(self) -> list[ApiKey]:
        return [rows.api_key_from(row) for row in self._queries.all("list_api_keys")]

    async def find(self, key_hash: bytes) -> ApiKey | None:
        row = self._queries.one("find_api_key", hash=key_hash)
        return rows.api_key_from(row) if row else None

    async def revoke(self, key_id: str, now: float) -> bool:
        return bool(await self._queries.write("revoke_api_key", {"id": key_id, "now": now}))

    async def revoked_since(self, since: float) -> set[str]:
        return {row["id"] for row in self._queries.all("list_revoked_api_keys", since=since)}

    async def set_limits(self, key_id: str, limits: KeyLimits) -> ApiKey | None:
        values = {"id": key_id, **rows.limit_columns(limits)}
        found = await self._queries.write("set_api_key_limits", values, notify_workers=True)  # more jobs may start
        return rows.api_key_from(found[0]) if found else None
