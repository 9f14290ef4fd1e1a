"""API keys."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipelet.domain.accounts.api_keys import CHANGE_NAMES, ApiKey, KeyChanges, KeyUse
from pipelet.domain.accounts.audit import AuditEntry
from pipelet.domain.accounts.limits import NO_LIMITS
from pipelet.domain.accounts.scopes import from_text, to_text
from pipelet.store.accounts.audit import with_entry
from pipelet.store.queries import Queries, SmallStore
from pipelet.store.rows import Row, from_row


class ApiKeys(SmallStore[Queries]):
    """Implements `domain.ports.accounts.ApiKeyStore`."""

    async def add(self, key: ApiKey, entry: AuditEntry | None = None) -> None:
        # `user` is a reserved word of SQL.
        values = asdict(key) | {"owner": key.user, "scopes": to_text(key.scopes)}
        await self._queries.write_all(with_entry(("add_api_key", values), entry), notify_watchers=False)

    async def list_keys(self) -> list[ApiKey]:
        return [_api_key_from(row) for row in await self._queries.all("list_api_keys")]

    async def get(self, key_id: str) -> ApiKey | None:
        row = await self._queries.one("get_api_key", id=key_id)
        return _api_key_from(row) if row else None

    async def find(self, key_hash: bytes) -> ApiKey | None:
        row = await self._queries.one("find_api_key", hash=key_hash)
        return _api_key_from(row) if row else None

    async def find_replaced(self, key_hash: bytes, now: float) -> ApiKey | None:
        row = await self._queries.one("find_replaced_api_key", hash=key_hash, now=now)
        return _api_key_from(row) if row else None

    async def revoke(self, key_id: str, now: float, entry: AuditEntry | None = None) -> bool:
        # Watchers are notified, because the key's streams end.
        revoke = ("revoke_api_key", {"id": key_id, "now": now})
        return bool(await self._queries.write_all(with_entry(revoke, entry))) or await self.get(key_id) is not None

    async def revoked_since(self, since: float) -> set[str]:
        return {row["id"] for row in await self._queries.all("list_revoked_api_keys", since=since)}

    async def update(self, key_id: str, changes: KeyChanges, entry: AuditEntry | None = None) -> ApiKey | None:
        update = ("update_api_key", {"id": key_id, **_change_columns(changes)})
        found = await self._queries.write_all(with_entry(update, entry), notify_workers=True)  # more jobs may start
        return _api_key_from(found[0]) if found else None

    async def rotate(
        self, key: ApiKey, new_hash: bytes, replaced_until: float, entry: AuditEntry | None = None
    ) -> ApiKey | None:
        values = {"id": key.id, "hash": key.hash, "new_hash": new_hash, "expires_at": replaced_until}
        rotate, keep = ("rotate_api_key", values), ("add_replaced_secret", values)
        found = await self._queries.write_all([rotate, *with_entry(keep, entry)], notify_watchers=False)
        return _api_key_from(found[0]) if found else None

    async def use(self, key_id: str) -> KeyUse | None:
        row = await self._queries.one("get_api_key", id=key_id)
        return from_row(KeyUse, row) if row else None

    async def note_used(self, used_at: Mapping[str, float]) -> None:
        values = {"ids": list(used_at), "times": list(used_at.values())}
        await self._queries.write("note_keys_used", values, durable=False, notify_watchers=False)

    async def delete_replaced(self, now: float) -> None:
        await self._queries.write("delete_replaced_secrets", {"now": now}, durable=False, notify_watchers=False)


def _change_columns(changes: KeyChanges) -> dict[str, Any]:
    """Return the new values by column, and for each column whether it changes."""
    values: dict[str, Any] = {name: changes.get(name) for name in CHANGE_NAMES}
    if "scopes" in changes:
        values["scopes"] = to_text(changes["scopes"])
    return values | {f"set_{name}": name in changes for name in CHANGE_NAMES}


def _api_key_from(row: Row) -> ApiKey:
    changes = {"user": row["owner"], "hash": bytes(row["hash"]), "scopes": from_text(row["scopes"])}
    return from_row(ApiKey, row, **changes, user_limits=NO_LIMITS)
