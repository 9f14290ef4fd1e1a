"""The API keys of the shared store."""

from pipelet.domain.accounts.api_keys import ApiKey, KeyLimits
from pipelet.store.postgres.connection.notifier import PostgresNotifier
from pipelet.store.postgres.connection.queries import PostgresQueries
from pipelet.store.rows import api_keys as rows


class PostgresApiKeys:
    """Implements `domain.ports.store.ApiKeyStore`."""

    def __init__(self, queries: PostgresQueries, work: PostgresNotifier, changes: PostgresNotifier) -> None:
        self._queries = queries
        self._work = work
        self._changes = changes

    async def add(self, key: ApiKey) -> None:
        await self._queries.run_durable("add_api_key", **rows.api_key_columns(key))

    async def list_keys(self) -> list[ApiKey]:
        return [rows.api_key_from(row) for row in await self._queries.all("list_api_keys")]

    async def find(self, key_hash: bytes) -> ApiKey | None:
        row = await self._queries.one("find_api_key", hash=key_hash)
        return rows.api_key_from(row) if row else None

    async def revoke(self, key_id: str, now: float) -> bool:
        revoked = bool(await self._queries.run_durable("revoke_api_key", id=key_id, now=now))
        self._changes.notify()  # the key's streams end
        return revoked

    async def revoked_since(self, since: float) -> set[str]:
        return {row["id"] for row in await self._queries.all("list_revoked_api_keys", since=since)}

    async def set_limits(self, key_id: str, limits: KeyLimits) -> ApiKey | None:
        found = await self._queries.run_durable("set_api_key_limits", id=key_id, **rows.limit_columns(limits))
        self._work.notify()  # more of its jobs may start
        return rows.api_key_from(found[0]) if found else None
