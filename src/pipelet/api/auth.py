"""Who asks: `Authorization: Bearer <key>`, or `Key <key>` and `Key <any id>:<key>` as fal's clients say it."""

from collections.abc import Iterable

from pipelet.domain.errors import KeyMalformed, KeyMissing, KeyRefused, NotAllowed
from pipelet.domain.keys import FRESH_SECONDS, ApiKey, hash_secret, looks_like_key
from pipelet.domain.ports import Clock, JobStore

_MAX_REMEMBERED = 10_000
_OTHER_HEADERS = {b"x-api-key": "X-API-Key", b"api-key": "api-key", b"x-fal-key": "X-Fal-Key"}
"""Where other services look for a key."""


class Doorkeeper:
    """Knows keys by their hash, and those it saw a moment ago without asking the store.

    Only keys that exist are remembered: a new key works at once, and nobody can fill the memory with guesses.
    """

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._remembered: dict[bytes, tuple[ApiKey, float]] = {}

    async def admit(self, headers: Iterable[tuple[bytes, bytes]], *, asks_again: bool = False) -> ApiKey:
        """The key in these raw headers; with `asks_again`, as it is right now.

        Raises:
            KeyMissing, KeyMalformed, KeyRefused: with what to do about it.
        """
        hashed = hash_secret(_secret_in(headers))
        now = self._clock.now()
        remembered = self._remembered.get(hashed)
        if not asks_again and remembered is not None and 0 <= now - remembered[1] < FRESH_SECONDS:
            key = remembered[0]
        else:
            key = await self._look_up(hashed, now)
        refusal = key.refusal(now)
        if refusal is not None:
            raise KeyRefused(refusal)
        return key

    def remembers(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether these raw headers hold a key that was valid when it was last looked up, however long ago."""
        try:
            hashed = hash_secret(_secret_in(headers))
        except NotAllowed:
            return False
        remembered = self._remembered.get(hashed)
        return remembered is not None and remembered[0].refusal(self._clock.now()) is None

    async def _look_up(self, hashed: bytes, now: float) -> ApiKey:
        key = await self._store.find_key(hashed)
        if key is None:
            self._remembered.pop(hashed, None)
            raise KeyRefused("This key is not known here. Ask the operator for one.")
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[hashed] = (key, now)
        return key


def _secret_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        others = [_OTHER_HEADERS[name] for name, _ in headers if name in _OTHER_HEADERS]
        unread = f" `{others[0]}` is not read." if others else ""
        raise KeyMissing(f"This route needs a key: send `Authorization: Bearer <key>`.{unread}")
    if len(values) > 1:
        raise KeyMalformed("The request has more than one Authorization header. Send exactly one.")
    scheme, _, secret = values[0].decode("latin-1").partition(" ")
    secret = secret.strip(" ")
    if scheme.lower() == "key":
        # fal's keys have an id before the secret, and its SDK sends no other; ours need none, so any is passed over.
        secret = secret.rpartition(":")[2]
    elif looks_like_key(scheme):
        raise KeyMalformed("The Authorization header holds a key alone: it must read `Bearer <key>` or `Key <key>`.")
    elif scheme.lower() != "bearer":
        raise KeyMalformed("The Authorization header must read `Bearer <key>` or `Key <key>`.")
    if not looks_like_key(secret):
        raise KeyMalformed("The Authorization header holds no key of this service: keys start with `pk_`.")
    return secret
