"""The audit trail."""

import json
from collections.abc import Sequence
from typing import Any

from pipelet.domain.accounts.audit import Actor, AuditEntry, StoredEntry
from pipelet.store.queries import Queries, SmallStore, Statement
from pipelet.store.rows import Row, from_row


class Audit(SmallStore[Queries]):
    """Implements `domain.ports.accounts.AuditStore`."""

    async def add(self, entry: AuditEntry) -> None:
        await self._queries.write("add_audit_entry", _columns(entry), notify_watchers=False)

    async def add_reads(self, entry: AuditEntry, targets: Sequence[str], period: str) -> None:
        once = f"{entry.action} {entry.actor.key_id} {period} "
        values = _columns(entry) | {"targets": list(targets), "once": once}
        await self._queries.write("add_audit_reads", values, notify_watchers=False)

    async def list_entries(self, limit: int, *, before_id: int | None = None) -> list[StoredEntry]:
        return [_entry_from(row) for row in await self._queries.all("list_audit", limit=limit, before_id=before_id)]

    async def delete_before(self, before: float, limit: int) -> int:
        values = {"before": before, "limit": limit}
        return len(await self._queries.write("delete_audit", values, durable=False, notify_watchers=False))


def with_entry(statement: Statement, entry: AuditEntry | None) -> list[Statement]:
    """Return the statements that make a change and its entry in the audit trail."""
    return [statement] if entry is None else [statement, ("add_audit_entry", _columns(entry))]


def _columns(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "action": entry.action.value,
        "target": entry.target,
        "actor": entry.actor.name,
        "key_id": entry.actor.key_id,
        "address": entry.actor.address,
        "before": None if entry.before is None else json.dumps(entry.before),
        "after": None if entry.after is None else json.dumps(entry.after),
    }


def _entry_from(row: Row) -> StoredEntry:
    return from_row(
        StoredEntry,
        row,
        actor=Actor(name=row["actor"], key_id=row["key_id"], address=row["address"]),
        before=None if row["before"] is None else json.loads(row["before"]),
        after=None if row["after"] is None else json.loads(row["after"]),
    )
