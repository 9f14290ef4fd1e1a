"""Sessions of browsers: started with a key or a login code, and ended with the key."""

from dataclasses import replace

from pipelet.domain.accounts.api_keys import KEY_CACHE_SECONDS, ApiKey, hash_secret
from pipelet.domain.accounts.audit import Action, Actor, AuditEntry
from pipelet.domain.accounts.sessions import (
    CODE_SECONDS,
    MAX_SECONDS,
    LoginCode,
    Session,
    new_code_secret,
    new_session_secret,
)
from pipelet.domain.errors import RefusedKey
from pipelet.domain.ids import new_token
from pipelet.domain.ports.accounts import ApiKeyStore, SessionStore
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.authentication import Authenticator
from pipelet.services.accounts.keys import get_key

_MAX_CACHED_SESSIONS = 10_000
_MAX_USER_AGENT_CHARS = 200


class Sessions:
    """Starts, finds and ends sessions, and caches them for `KEY_CACHE_SECONDS`, as keys are."""

    def __init__(
        self, sessions: SessionStore, api_keys: ApiKeyStore, authenticator: Authenticator, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._api_keys = api_keys
        self._authenticator = authenticator
        self._clock = clock
        self._cache: dict[bytes, tuple[Session, ApiKey, float]] = {}
        self.seen_at: dict[str, float] = {}
        """When sessions were used, by id, since this was emptied last: see `AccountMaintenance`."""

    async def start_with_key(self, secret: str, *, user_agent: str) -> str:
        """Start a session. Returns its secret, which is for the cookie alone.

        Raises:
            RefusedKey: the key is unknown, was revoked or has expired.
        """
        return await self._start(await self._authenticator.find(hash_secret(secret)), user_agent)

    async def start_with_code(self, code: str, *, user_agent: str) -> str:
        """As `start_with_key`, with the key of a login code, which is used up.

        Raises:
            RefusedKey: the code is unknown, was used, or has expired, or its key has ended.
        """
        now = self._clock.now()
        key_id = await self._sessions.redeem_code(hash_secret(code), now)
        key = None if key_id is None else await self._api_keys.get(key_id)
        if key is None:
            raise RefusedKey(
                "This login code is unknown, was used before, or has expired. Print a new one with `pipelet login`.",
                kind="unknown",
            )
        key.require_valid(now)
        return await self._start(key, user_agent)

    async def find(self, secret: str) -> ApiKey:
        """The key of a session.

        Raises:
            RefusedKey: the session is unknown or over, or its key has ended.
        """
        session_hash, now = hash_secret(secret), self._clock.now()
        cached = self._cache.get(session_hash)
        if cached is None or not 0 <= now - cached[2] < KEY_CACHE_SECONDS:
            cached = await self._load(session_hash, now)
        session, key, read_at = cached
        if session.is_over(now):
            raise _over()
        key.require_valid(now)
        self._cache[session_hash] = (replace(session, last_seen_at=max(now, session.last_seen_at)), key, read_at)
        self.seen_at[session.id] = self._authenticator.used_at[key.id] = now
        return key

    async def end(self, secret: str) -> None:
        """End a session; one that is unknown or over is fine. Other processes follow within `KEY_CACHE_SECONDS`."""
        session_hash = hash_secret(secret)
        self._cache.pop(session_hash, None)
        await self._sessions.end(session_hash)

    async def _start(self, key: ApiKey, user_agent: str) -> str:
        secret, now = new_session_secret(), self._clock.now()
        session = Session(
            id=new_token()[:12],
            hash=hash_secret(secret),
            key_id=key.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + MAX_SECONDS,
            user_agent=user_agent[:_MAX_USER_AGENT_CHARS],
        )
        await self._sessions.add(session)
        return secret

    async def _load(self, session_hash: bytes, now: float) -> tuple[Session, ApiKey, float]:
        session = await self._sessions.find(session_hash)
        key = None if session is None else await self._api_keys.get(session.key_id)
        if session is None or key is None:
            self._cache.pop(session_hash, None)
            raise _over()
        if len(self._cache) >= _MAX_CACHED_SESSIONS:
            self._cache.clear()
        self._cache[session_hash] = found = (session, key, now)
        return found


async def create_login_code(store: Store, actor: Actor, key_id: str) -> str:
    """Return a code that signs a browser in once, with the key, within `CODE_SECONDS`.

    Raises:
        NotFound: no key has this id.
        RefusedKey: the key was revoked or has expired.
    """
    key, code, now = await get_key(store, key_id), new_code_secret(), store.clock.now()
    key.require_valid(now)
    entry = AuditEntry(at=now, actor=actor, action=Action.CREATE_LOGIN_CODE, target=key.id)
    await store.sessions.add_code(
        LoginCode(hash=hash_secret(code), key_id=key.id, expires_at=now + CODE_SECONDS), entry
    )
    return code


def _over() -> RefusedKey:
    return RefusedKey("This session is over. Sign in again.", kind="session")
