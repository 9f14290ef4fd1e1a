"""Sessions of browsers, and login codes."""

from collections.abc import Mapping
from dataclasses import asdict

from pipelet.domain.accounts.audit import AuditEntry
from pipelet.domain.accounts.sessions import IDLE_SECONDS, LoginCode, Session
from pipelet.store.accounts.audit import with_entry
from pipelet.store.queries import Queries, SmallStore
from pipelet.store.rows import from_row


class Sessions(SmallStore[Queries]):
    """Implements `domain.ports.accounts.SessionStore`."""

    async def add(self, session: Session) -> None:
        await self._queries.write("add_session", asdict(session), notify_watchers=False)

    async def find(self, session_hash: bytes) -> Session | None:
        row = await self._queries.one("find_session", hash=session_hash)
        return from_row(Session, row, hash=bytes(row["hash"])) if row else None

    async def end(self, session_hash: bytes) -> bool:
        return bool(await self._queries.write("end_session", {"hash": session_hash}, notify_watchers=False))

    async def note_seen(self, seen_at: Mapping[str, float]) -> None:
        values = {"ids": list(seen_at), "times": list(seen_at.values())}
        await self._queries.write("note_sessions_seen", values, durable=False, notify_watchers=False)

    async def add_code(self, code: LoginCode, entry: AuditEntry | None = None) -> None:
        await self._queries.write_all(with_entry(("add_login_code", asdict(code)), entry), notify_watchers=False)

    async def redeem_code(self, code_hash: bytes, now: float) -> str | None:
        found = await self._queries.write("redeem_login_code", {"hash": code_hash}, notify_watchers=False)
        return found[0]["key_id"] if found and now < found[0]["expires_at"] else None

    async def delete_expired(self, now: float) -> None:
        values = {"now": now, "idle_since": now - IDLE_SECONDS}
        for query in ("delete_sessions", "delete_login_codes"):
            await self._queries.write(query, values, durable=False, notify_watchers=False)
