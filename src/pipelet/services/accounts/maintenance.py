"""Periodic maintenance of keys, sessions and the audit trail."""

from pipelet.domain.errors import StoreError
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.authentication import Authenticator
from pipelet.services.accounts.sessions import Sessions

INTERVAL_SECONDS = 60.0
AUDIT_RETENTION_SECONDS = 400 * 86400.0
"""Seconds for which entries of the audit trail are kept: a year, and time to look at it."""
_CHUNK_SIZE = 500


class AccountMaintenance:
    def __init__(self, store: Store, authenticator: Authenticator, sessions: Sessions) -> None:
        self._store = store
        self._authenticator = authenticator
        self._sessions = sessions

    async def run(self) -> None:
        """Write when keys and sessions were used, and delete what is over. Call it every `INTERVAL_SECONDS`.

        The requests themselves only note the time in memory, so that none waits for a write.
        """
        await self._note_uses()
        now = self._store.clock.now()
        await self._store.sessions.delete_expired(now)
        await self._store.api_keys.delete_replaced(now)
        while await self._store.audit.delete_before(now - AUDIT_RETENTION_SECONDS, _CHUNK_SIZE):
            pass

    async def _note_uses(self) -> None:
        used, seen = dict(self._authenticator.used_at), dict(self._sessions.seen_at)
        self._authenticator.used_at.clear()
        self._sessions.seen_at.clear()
        try:
            if used:
                await self._store.api_keys.note_used(used)
            if seen:
                await self._store.sessions.note_seen(seen)
        except StoreError:
            # With the next run; what was used since then is newer.
            self._authenticator.used_at.update(used | self._authenticator.used_at)
            self._sessions.seen_at.update(seen | self._sessions.seen_at)
            raise
