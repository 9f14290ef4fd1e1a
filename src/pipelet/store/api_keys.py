"""API keys."""

from dataclasses import asdict

from pipelet.domain.accounts.api_keys import LIMIT_NAMES, ApiKey, KeyLimits
from pipelet.store.queries import Queries, SmallStore
from pipelet.store.rows import Row, from_row


class ApiKeys(SmallStore[Queries]):
    """Implements `domain.ports.store.ApiKeyStore`."""

    async def add(self, key: ApiKey) -> None:
        values = asdict(key) | {"owner": key.user}  # `user` is a reserved word of SQL
        await self._queries.write("add_api_key", values, notify_watchers=False)

    async def list_keys(self) -> list[ApiKey]:
        return [_api_key_from(row) for row in await self._queries.all("list_api_keys")]

    async def find(self, key_hash: bytes) -> ApiKey | None:
        row = await self._queries.one("find_api_key", hash=key_hash)
        return _api_key_from(row) if row else None

    async def revoke(self, key_id: str, now: float) -> bool:
        # Watchers are notified, because the key's streams end.
        return bool(await self._queries.write("revoke_api_key", {"id": key_id, "now": now}))

    async def revoked_since(self, since: float) -> set[str]:
        return {row["id"] for row in await self._queries.all("list_revoked_api_keys", since=since)}

    async def set_limits(self, key_id: str, limits: KeyLimits) -> ApiKey | None:
        values = {name: limits.get(name) for name in LIMIT_NAMES}
        is_set = {f"set_{name}": name in limits for name in LIMIT_NAMES}
        found = await self._queries.write(
            "set_api_key_limits", {"id": key_id, **values, **is_set}, notify_workers=True
        )  # more of its jobs may start
        return _api_key_from(found[0]) if found else None


def _api_key_from(row: Row) -> ApiKey:
    return from_row(ApiKey, row, user=row["owner"], hash=bytes(row["hash"]))
