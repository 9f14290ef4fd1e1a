"""Limits of users: what a new user gets, what an operator changes, and what is used."""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from pipelet.domain.accounts.api_keys import LIMIT_NAMES, ApiKey, KeyLimits
from pipelet.domain.accounts.audit import Action, Actor, AuditEntry, Values
from pipelet.domain.accounts.limits import NO_LIMITS, UserLimitChanges, UserLimits, UserQuota, numbers
from pipelet.domain.errors import NotFound
from pipelet.domain.ports.store import Store


async def get_quota(store: Store, key: ApiKey) -> UserQuota:
    """Return the limits that apply to a key, of all keys of its user together, and what is used of them.

    A key that may do everything has no limits.
    """
    quota = await store.limits.quota(key.user)
    return replace(quota, limits=NO_LIMITS) if key.is_admin else quota


async def get_user_quota(store: Store, user: str) -> UserQuota:
    """Return the limits of a user and what is used of them.

    Raises:
        NotFound: no key is this user's.
    """
    await _require_user(store, user)
    return await store.limits.quota(user)


async def change_user_limits(store: Store, actor: Actor, user: str, changes: UserLimitChanges) -> UserLimits:
    """Change the limits in `changes`, and no others. Running services follow within two seconds.

    Requests that were submitted while the user had no limits do not count against one of images.

    Raises:
        NotFound: no key is this user's.
    """
    await _require_user(store, user)
    before = numbers(await store.limits.get(user))
    entry = AuditEntry(
        at=store.clock.now(),
        actor=actor,
        action=Action.CHANGE_LIMITS,
        target=user,
        before={name: before[name] for name in changes},
        after=cast(Values, changes),
    )
    return await store.limits.change(user, changes, entry)


async def give_default_limits(store: Store, user: str, defaults: UserLimits, wanted: KeyLimits) -> None:
    """Give a new user the operator's defaults, but no narrower ones than its first key is `wanted` to have. Limits that
    were set before stay."""
    if await store.limits.get(user) != NO_LIMITS:
        return
    limits = numbers(defaults)
    for name in LIMIT_NAMES:
        if name in wanted and limits[name] is not None:
            limit = wanted[name]  # type: ignore[literal-required]
            limits[name] = None if limit is None else max(limits[name], limit)
    await store.limits.change(user, UserLimitChanges(**limits))  # type: ignore[typeddict-item]


def is_new_user(keys: Iterable[ApiKey]) -> bool:
    """Whether a user with these keys has had none to which limits apply."""
    return all(key.is_admin for key in keys)


async def _require_user(store: Store, user: str) -> None:
    known = sorted({key.user for key in await store.api_keys.list_keys()})
    if user not in known:
        raise NotFound(f"There is no user {user}. There are: {', '.join(known) or 'none'}.")
