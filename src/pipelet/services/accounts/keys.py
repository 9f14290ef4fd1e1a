"""API keys: create, find, change, rotate and revoke them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelet.domain.accounts.api_keys import (
    KEY_CACHE_SECONDS,
    ApiKey,
    KeyChanges,
    KeyLimits,
    has_typo,
    hash_secret,
    is_well_formed,
    new_secret,
)
from pipelet.domain.accounts.audit import Action, Actor, AuditEntry, Values
from pipelet.domain.accounts.limits import NO_LIMITS, UserLimits
from pipelet.domain.accounts.scopes import ALL_SCOPES, DEFAULT_SCOPES, Scope, to_text
from pipelet.domain.errors import NotFound, NotPossible
from pipelet.domain.ids import new_token
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.limits import give_default_limits, is_new_user
from pipelet.services.queue.admin import cancel_requests

_NO_SUCH_KEY = "No key has this id. See `pipelet keys list`."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    name: str
    user: str | None = None
    """An existing user or a new one; None: a new user of the key's name."""
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    lifetime_seconds: float | None = None
    """Seconds until it expires; None: never."""
    limits: KeyLimits = field(default_factory=KeyLimits)


async def create_key(
    store: Store, actor: Actor, new: NewKey, *, default_limits: UserLimits = NO_LIMITS
) -> tuple[ApiKey, str]:
    """Make a key. Returns it and its secret, which is stored nowhere.

    Args:
        default_limits: what a new user gets, unless the key may do everything.

    Raises:
        NotPossible: it is for a new user, and the user exists.
    """
    user = new.user or new.name
    known = [key for key in await store.api_keys.list_keys() if key.user == user]
    if new.user is None and known:
        raise _user_exists(user, known)
    if new.scopes != ALL_SCOPES and is_new_user(known):
        await give_default_limits(store, user, default_limits, new.limits)
    now, secret = store.clock.now(), new_secret()
    key = ApiKey(
        id=new_token()[:12],
        name=new.name,
        user=user,
        hash=hash_secret(secret),
        created_at=now,
        expires_at=None if new.lifetime_seconds is None else now + new.lifetime_seconds,
        scopes=new.scopes,
        **new.limits,
    )
    created = {"user": key.user, "scopes": to_text(key.scopes), "expires_at": key.expires_at, **_numbers(new.limits)}
    await store.api_keys.add(key, _entry(now, actor, Action.CREATE_KEY, key, after=created))
    return key, secret


async def get_key(store: Store, key_id: str) -> ApiKey:
    """
    Raises:
        NotFound: no key has this id.
    """
    key = await store.api_keys.get(key_id)
    if key is None:
        raise NotFound(_NO_SUCH_KEY)
    return key


async def find_key(store: Store, text: str) -> ApiKey:
    """Return the key with this secret, such as one that was found in a log; also one that was rotated or revoked.

    Raises:
        NotFound: there is none; the message says what is wrong with the text.
    """
    if not is_well_formed(text):
        raise NotFound("This text is not a key of this service.")
    key_hash = hash_secret(text)
    key = await store.api_keys.find(key_hash) or await store.api_keys.find_replaced(key_hash, store.clock.now())
    if key is None:
        typo = " Its checksum is wrong, so it was mistyped or cut." if has_typo(text) else ""
        raise NotFound(f"Unknown key.{typo} See `pipelet keys list`.")
    return key


async def change_key(store: Store, actor: Actor, key_id: str, changes: KeyChanges) -> ApiKey:
    """Change what is in `changes`, and nothing else. A running service follows within two seconds.

    Raises:
        NotFound: no key has this id.
    """
    key = await get_key(store, key_id)
    entry = _entry(
        store.clock.now(),
        actor,
        Action.CHANGE_KEY,
        key,
        before=_numbers({name: getattr(key, name) for name in changes}),
        after=_numbers(changes),
    )
    changed = await store.api_keys.update(key.id, changes, entry)
    if changed is None:
        raise NotFound(_NO_SUCH_KEY)
    return changed


async def rotate_key(store: Store, actor: Actor, key_id: str, *, overlap_seconds: float) -> tuple[ApiKey, str]:
    """Give a key a new secret, which is returned with it. The old one works for `overlap_seconds` more.

    Id, user, scopes, limits and requests stay.

    Raises:
        NotFound: no key has this id.
        NotPossible: it was revoked, or is being rotated by another call.
    """
    key, secret, now = await get_key(store, key_id), new_secret(), store.clock.now()
    if key.revoked_at is not None:
        raise NotPossible(f"{key.id} was revoked. Make a new key with `pipelet keys create`.")
    until = now + overlap_seconds
    entry = _entry(now, actor, Action.ROTATE_KEY, key, after={"old_works_until": until})
    rotated = await store.api_keys.rotate(key, hash_secret(secret), until, entry)
    if rotated is None:
        raise NotPossible(f"{key.id} was rotated or revoked at the same moment. Look at it, then try again.")
    return rotated, secret


async def revoke_key(
    store: Store, actor: Actor, key_id: str, *, cancel: bool = False, settle_seconds: float = KEY_CACHE_SECONDS
) -> int:
    """Revoke a key permanently. Running services stop accepting it within `KEY_CACHE_SECONDS`.

    Args:
        cancel: cancel its queued requests as well.
        settle_seconds: seconds after which those are cancelled that a service accepted in the meantime.

    Returns:
        How many requests were cancelled.

    Raises:
        NotFound: no key has this id.
    """
    key, now = await get_key(store, key_id), store.clock.now()
    entry = _entry(now, actor, Action.REVOKE_KEY, key, before={"revoked_at": None}, after={"revoked_at": now})
    await store.api_keys.revoke(key.id, now, entry)
    if not cancel:
        return 0
    cancelled = await cancel_requests(store, actor, key_id=key.id)
    await asyncio.sleep(settle_seconds)
    return cancelled + await cancel_requests(store, actor, key_id=key.id)


async def has_key_for_keys(store: Store) -> bool:
    """Whether a valid key may create others."""
    now = store.clock.now()
    return any(Scope.KEYS in key.scopes for key in await store.api_keys.list_keys() if not key.invalid_reason(now))


def _user_exists(user: str, known: Sequence[ApiKey]) -> NotPossible:
    """An existing user is refused: a key reads all requests of its user, so it must not join one by accident."""
    return NotPossible(
        f"The user {user} already exists, with the keys {', '.join(f'{key.id} ({key.name})' for key in known)}. "
        f"Add `--user {user}` (in the API, `user`) for another key of this user, or choose another name."
    )


def _entry(
    now: float, actor: Actor, action: Action, key: ApiKey, *, before: Values | None = None, after: Values | None = None
) -> AuditEntry:
    return AuditEntry(at=now, actor=actor, action=action, target=key.id, before=before, after=after)


def _numbers(values: Mapping[str, Any]) -> Values:
    """Return values of a key for the audit trail."""
    return {name: to_text(value) if name == "scopes" else value for name, value in values.items()}
