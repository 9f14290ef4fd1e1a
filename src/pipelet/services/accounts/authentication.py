"""API keys: from the hash of the secret that a client sends to the key that it stands for."""

from dataclasses import replace

from pipelet.domain.accounts.api_keys import KEY_CACHE_SECONDS, ApiKey
from pipelet.domain.errors import RefusedKey
from pipelet.domain.ports.accounts import ApiKeyStore
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.limits import LimitStore

_MAX_CACHED_KEYS = 10_000


class Authenticator:
    """Finds keys by their hash, and caches them for `KEY_CACHE_SECONDS`.

    Only keys that exist are cached: a new key works at once, and guesses cannot fill the memory.
    """

    def __init__(self, api_keys: ApiKeyStore, limits: LimitStore, clock: Clock) -> None:
        self._api_keys = api_keys
        self._limits = limits
        self._clock = clock
        self._cache: dict[bytes, tuple[ApiKey, float]] = {}
        self.used_at: dict[str, float] = {}
        """When keys were used, by id, since this was emptied last: see `LastUsed`."""

    async def find(self, key_hash: bytes, *, refresh: bool = False) -> ApiKey:
        """The valid key with this hash and its limits, as they were at most `KEY_CACHE_SECONDS` ago; with `refresh`, as
        the store has them.

        Raises:
            RefusedKey: the key is unknown, was revoked or has expired.
        """
        now = self._clock.now()
        cached = self._cache.get(key_hash)
        if not refresh and cached is not None and 0 <= now - cached[1] < KEY_CACHE_SECONDS:
            key = cached[0]
        else:
            key = await self._load(key_hash, now)
        key.require_valid(now)
        self.used_at[key.id] = now
        return key

    def is_cached(self, key_hash: bytes) -> bool:
        """Whether this key was valid when it was last looked up, however long ago, and has not expired since."""
        cached = self._cache.get(key_hash)
        return cached is not None and cached[0].invalid_reason(self._clock.now()) is None

    async def _load(self, key_hash: bytes, now: float) -> ApiKey:
        # A mistyped key is looked up as well, although its checksum tells: it gets the answer of an unknown one, and as
        # late.
        key = await self._api_keys.find(key_hash) or await self._api_keys.find_replaced(key_hash, now)
        if key is None:
            self._cache.pop(key_hash, None)
            raise RefusedKey("This key is not known here. Ask the operator for one.", kind="unknown")
        if not key.is_admin:  # a key that may do everything, such as lifting its user's limits, has none
            key = replace(key, user_limits=await self._limits.get(key.user))
        if len(self._cache) >= _MAX_CACHED_KEYS:
            self._cache.clear()
        self._cache[key_hash] = (key, now)
        return key
