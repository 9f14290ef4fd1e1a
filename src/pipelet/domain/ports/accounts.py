"""Keys, sessions, and the audit trail.

Each change of a key takes the entry that it leaves in the audit trail, and writes both or neither.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pipelet.domain.accounts.api_keys import ApiKey, KeyChanges, KeyUse
from pipelet.domain.accounts.audit import AuditEntry, StoredEntry
from pipelet.domain.accounts.sessions import LoginCode, Session


class ApiKeyStore(Protocol):
    """API keys, found by their hash."""

    async def add(self, key: ApiKey, entry: AuditEntry | None = None) -> None: ...

    async def list_keys(self) -> list[ApiKey]: ...

    async def get(self, key_id: str) -> ApiKey | None: ...

    async def find(self, key_hash: bytes) -> ApiKey | None:
        """Return the key with this secret."""

    async def find_replaced(self, key_hash: bytes, now: float) -> ApiKey | None:
        """Return the key that had this secret before it was rotated, while that still works."""

    async def revoke(self, key_id: str, now: float, entry: AuditEntry | None = None) -> bool:
        """Return False if there is no such key. Of several calls the first counts; only it leaves its entry."""

    async def revoked_since(self, since: float) -> set[str]:
        """Return the ids of the keys that were revoked at `since` or later."""

    async def update(self, key_id: str, changes: KeyChanges, entry: AuditEntry | None = None) -> ApiKey | None:
        """Change what is in `changes`, and nothing else. Return the changed key; None if there is none.

        Jobs that were submitted while the key had no limit of images do not count against one.
        """

    async def rotate(
        self, key: ApiKey, new_hash: bytes, replaced_until: float, entry: AuditEntry | None = None
    ) -> ApiKey | None:
        """Give `key` another secret; until `replaced_until` its current one works, too. Return the changed key.

        Return None if it was rotated or revoked since it was read: of several concurrent calls, one wins.
        """

    async def use(self, key_id: str) -> KeyUse | None:
        """Return what is used of the limits of a key; None if there is no such key."""

    async def note_used(self, used_at: Mapping[str, float]) -> None:
        """Note when keys were used last, by id. Of several times, the latest stays."""

    async def delete_replaced(self, now: float) -> None:
        """Delete the replaced secrets that no longer work."""


class SessionStore(Protocol):
    """Sessions of browsers, and login codes."""

    async def add(self, session: Session) -> None: ...

    async def find(self, session_hash: bytes) -> Session | None: ...

    async def end(self, session_hash: bytes) -> bool:
        """Return False if there is no such session."""

    async def note_seen(self, seen_at: Mapping[str, float]) -> None:
        """Note when sessions were used last, by id. Of several times, the latest stays."""

    async def add_code(self, code: LoginCode, entry: AuditEntry | None = None) -> None: ...

    async def redeem_code(self, code_hash: bytes, now: float) -> str | None:
        """Use up a code. Return the id of its key; None if it is unknown, used or has expired.

        Of several concurrent calls with one code, exactly one gets the key.
        """

    async def delete_expired(self, now: float) -> None:
        """Delete the sessions and codes that are over, and those of keys that have ended."""


class AuditStore(Protocol):
    """The audit trail. Entries are never changed."""

    async def add(self, entry: AuditEntry) -> None: ...

    async def add_reads(self, entry: AuditEntry, targets: Sequence[str], period: str) -> None:
        """Add `entry` for each target, except those that its key has one for in the same `period`."""

    async def list_entries(self, limit: int, *, before_id: int | None = None) -> list[StoredEntry]:
        """Return entries, newest first: those older than the entry `before_id`, if it is given."""

    async def delete_before(self, before: float, limit: int) -> int:
        """Delete up to `limit` entries that were made before `before`; return how many."""
