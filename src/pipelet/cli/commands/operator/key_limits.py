"""`pipelet keys limit`: change the limits of a key or of a user."""

import json
import shlex
from collections.abc import Mapping
from typing import Annotated, Literal, cast

from cyclopts import Parameter

from pipelet import settings
from pipelet.cli.database import CommandError, find_key_by_name, operator
from pipelet.cli.key_options import (
    MAX_PRIORITY,
    MAX_QUEUED,
    MAX_RUNNING,
    KeyId,
    facts_of,
    flag_of,
    given_limits,
    limits_of,
    require_name,
)
from pipelet.cli.limit_options import (
    MAX_STORED,
    MAX_SUBMITS,
    MAX_WEBHOOKS,
    SUBMIT_BURST,
    of_user_text,
    refusals_text,
    use_text,
    user_changes,
    user_facts,
    user_limits_text,
)
from pipelet.cli.options import AsJson, DataDir
from pipelet.domain.accounts.api_keys import LIMIT_NAMES, KeyChanges, KeyLimits
from pipelet.domain.accounts.limits import UserLimitChanges, days_before
from pipelet.domain.ports.store import Store
from pipelet.services.accounts import keys
from pipelet.services.accounts import limits as user_limits
from pipelet.wiring.store import open_store

_REFUSAL_DAYS = 30


async def limit(
    key: KeyId | None = None,
    /,
    *,
    user: Annotated[str | None, Parameter(validator=require_name)] = None,
    max_priority: Annotated[int | Literal["none"] | None, MAX_PRIORITY] = None,
    max_queued_images: Annotated[int | Literal["none"] | None, MAX_QUEUED] = None,
    max_running_images: Annotated[int | Literal["none"] | None, MAX_RUNNING] = None,
    max_submits_per_second: Annotated[float | Literal["none"] | None, MAX_SUBMITS] = None,
    submit_burst: Annotated[int | Literal["none"] | None, SUBMIT_BURST] = None,
    max_stored_gib: Annotated[float | Literal["none"] | None, MAX_STORED] = None,
    max_webhooks_per_minute: Annotated[int | Literal["none"] | None, MAX_WEBHOOKS] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Change limits of a key, or with --user those of a user, which all keys of the user share.

    Limits that are not named stay; `none` removes one. With --user alone, the limits and what is used of them are
    shown. A running service applies changes within two seconds. Requests that were submitted while there was no
    limit of images do not count against a new one.

    For example:

        pipelet keys limit 0c94d2a7b1e3 --max-queued-images 40 --max-running-images 8

        pipelet keys limit laptop --max-priority none

        pipelet keys limit --user ada --max-stored-gib 100 --max-submits-per-second 50

    Parameters
    ----------
    user
        User whose limits are changed or shown.
    """
    if (key is None) == (user is None):
        raise CommandError("Give a key, or --user with a user.")
    of_key = given_limits(max_priority, max_queued_images, max_running_images)
    changes = user_changes(
        cast(Mapping[str, int | None], of_key),
        max_submits_per_second=max_submits_per_second,
        submit_burst=submit_burst,
        max_stored_gib=max_stored_gib,
        max_webhooks_per_minute=max_webhooks_per_minute,
    )
    async with open_store(settings.load(data_dir=data_dir)) as store:
        if user is not None:
            await _limit_user(store, user, changes, as_json=as_json)
        elif key is not None:
            await _limit_key(store, key, of_key, changes, as_json=as_json)


async def _limit_user(store: Store, user: str, changes: UserLimitChanges, *, as_json: bool) -> None:
    if changes:
        await user_limits.change_user_limits(store, operator(), user, changes)
    quota, now = await user_limits.get_user_quota(store, user), store.clock.now()
    if as_json:
        print(json.dumps(user_facts(user, quota, now)))
        return
    print(f"Limits of the user {user}: {user_limits_text(quota.limits)}.")
    if not changes:
        refused = await store.limits.refusals(days_before(now, _REFUSAL_DAYS), user=user)
        print(f"Used: {use_text(quota, now)}.")
        print(f"Refused requests in {_REFUSAL_DAYS} days: {refusals_text(refused)}.")


async def _limit_key(store: Store, key: str, of_key: KeyLimits, changes: UserLimitChanges, *, as_json: bool) -> None:
    found = await find_key_by_name(store, key)
    if len(changes) > len(of_key):
        command = f"pipelet keys limit --user {shlex.quote(found.user)}"
        raise CommandError(f"Submits, storage and webhooks are limited for a user, not for a key: `{command}`.")
    if not of_key:
        raise CommandError(f"No limit of a key given. Give {', '.join(map(flag_of, LIMIT_NAMES))}, or --user.")
    found = await keys.change_key(store, operator(), found.id, cast(KeyChanges, of_key))
    if as_json:
        print(json.dumps(facts_of(found, store.clock.now())))
        return
    print(f"Limits of {found.id} ({found.name}, user {found.user}): {limits_of(found)}.")
    print(of_user_text(found, await user_limits.get_quota(store, found)))
