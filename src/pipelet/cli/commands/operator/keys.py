"""`pipelet keys`: create, list, change, rotate and revoke API keys."""

import json
import sys
from datetime import timedelta
from typing import Annotated, Literal

from cyclopts import App, Parameter

from pipelet import settings
from pipelet.cli.commands.operator.key_limits import limit
from pipelet.cli.database import CommandError, find_key_by_name, operator
from pipelet.cli.key_options import (
    COLUMNS,
    MAX_PRIORITY,
    MAX_QUEUED,
    MAX_RUNNING,
    KeyId,
    Scopes,
    facts_of,
    given_limits,
    limits_of,
    require_name,
    require_positive_time,
    require_time,
    row_of,
)
from pipelet.cli.limit_options import of_user_text, user_facts
from pipelet.cli.options import AsJson, DataDir, Switch
from pipelet.cli.output import date, print_table, requests
from pipelet.domain.accounts.api_keys import KeyChanges
from pipelet.domain.accounts.scopes import ALL_SCOPES, DEFAULT_SCOPES, to_text
from pipelet.services.accounts import keys
from pipelet.services.accounts import limits as user_limits
from pipelet.services.accounts.keys import NewKey
from pipelet.wiring.store import open_store

app = App(
    name="keys", help="Create, list, change, rotate and revoke API keys. A running service follows without a restart."
)


@app.command
async def create(
    name: Annotated[str, Parameter(validator=require_name)],
    /,
    *,
    user: Annotated[str | None, Parameter(validator=require_name)] = None,
    scope: Scopes = (),
    admin: Switch = False,
    expires: Annotated[timedelta | None, Parameter(validator=require_positive_time)] = None,
    max_priority: Annotated[int | None, MAX_PRIORITY] = None,
    max_queued_images: Annotated[int | None, MAX_QUEUED] = None,
    max_running_images: Annotated[int | None, MAX_RUNNING] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Create a key and print it. This is the only time that it is shown: only its hash is stored.

    By default it may make requests for its user, within the limits of its user. A new user gets those of
    PIPELET_DEFAULT_MAX_QUEUED_IMAGES and its like; limits of the key alone can only be narrower.

    For example:

        pipelet keys create laptop --user ada

        pipelet keys create trial --expires 30d --max-priority 0 --max-queued-images 20 --max-running-images 4

        pipelet keys create dashboard --scope observe

        pipelet keys create root --admin

    Parameters
    ----------
    name
        Name of the key in the list.
    user
        User of the key. A user sees only their own requests, with any of their keys. [default: a new user of that name]
    admin
        Give it every scope and no limits: the first key of an operator.
    expires
        Time until the key expires: 30d, 12h, 90m. [default: never]
    """
    limits = given_limits(max_priority, max_queued_images, max_running_images)
    if admin and (scope or limits):
        raise CommandError("A key with --admin has every scope and no limits. Leave out --admin or the other flags.")
    new = NewKey(
        name=name,
        user=user,
        scopes=ALL_SCOPES if admin else frozenset(scope) or DEFAULT_SCOPES,
        lifetime_seconds=expires.total_seconds() if expires else None,
        limits=limits,
    )
    chosen = settings.load(data_dir=data_dir)
    async with open_store(chosen) as store:
        key, secret = await keys.create_key(store, operator(), new, default_limits=chosen.default_limits)
        quota = await user_limits.get_quota(store, key)
    if as_json:
        of_user = user_facts(key.user, quota, key.created_at)["limits"]
        print(json.dumps({**facts_of(key, key.created_at), "user_limits": of_user, "key": secret}))
        return
    print(secret)
    print(
        f"Save it now: it is not shown again. Its id is {key.id}, its user is {key.user}.\n"
        f"Scopes: {to_text(key.scopes)}. Change them with `pipelet keys change {key.id}`.\n"
        f"Limits: {limits_of(key)}. Change them with `pipelet keys limit {key.id}`.\n"
        f"{of_user_text(key, quota)}",
        file=sys.stderr,
    )


@app.command(name="list")
async def list_keys(*, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List all keys with their users, states and limits. The secrets are not stored.

    For example:

        pipelet keys list
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        facts = [facts_of(key, store.clock.now()) for key in await store.api_keys.list_keys()]
    if as_json:
        print(json.dumps(facts))
        return
    print_table(COLUMNS, map(row_of, facts))


@app.command
async def revoke(key: KeyId, /, *, cancel: Switch = False, data_dir: DataDir = None) -> None:
    """Revoke a key permanently: a running service stops accepting it within two seconds.

    Requests that were made with it continue, and its user's other keys can read them. URLs of files work until they
    expire (PIPELET_SIGNED_URL_TTL_SECONDS).

    For example:

        pipelet keys revoke 0c94d2a7b1e3

        pipelet keys revoke laptop --cancel

    Parameters
    ----------
    cancel
        Also cancel its queued requests.
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        found = await find_key_by_name(store, key)
        cancelled = await keys.revoke_key(store, operator(), found.id, cancel=cancel)
    print(f"Revoked: {found.id} ({found.name}, user {found.user}).")
    if cancel:
        print(f"Cancelled: {requests(cancelled)}.")


@app.command
async def rotate(
    key: KeyId,
    /,
    *,
    overlap: Annotated[timedelta, Parameter(validator=require_time)] = timedelta(hours=24),
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Give a key a new secret and print it. The old one works until the overlap ends; everything else stays.

    For example:

        pipelet keys rotate laptop --overlap 24h

        pipelet keys rotate 0c94d2a7b1e3 --overlap 0s

    Parameters
    ----------
    overlap
        Time for which the old secret still works: 7d, 24h, 0s for a leaked one. [default: 24h]
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        found = await find_key_by_name(store, key)
        found, secret = await keys.rotate_key(store, operator(), found.id, overlap_seconds=overlap.total_seconds())
        until = date(store.clock.now() + overlap.total_seconds())
    if as_json:
        print(json.dumps({**facts_of(found, found.created_at), "key": secret, "old_works_until": until}))
        return
    print(secret)
    print(f"Save it now: it is not shown again. The old secret of {found.id} works until {until}.", file=sys.stderr)


@app.command
async def find(*, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Find a key by its text, such as one that was found in a log. The text is read from standard input.

    It also finds keys that were revoked, and those whose secret was rotated while the old one works. The exit code is 1
    if there is none.

    For example:

        pipelet keys find < found.txt
    """
    text = sys.stdin.readline().strip()
    async with open_store(settings.load(data_dir=data_dir)) as store:
        facts = facts_of(await keys.find_key(store, text), store.clock.now())
    if as_json:
        print(json.dumps(facts))
        return
    print_table(COLUMNS, [row_of(facts)])


@app.command
async def change(
    key: KeyId,
    /,
    *,
    name: Annotated[str | None, Parameter(validator=require_name)] = None,
    scope: Scopes = (),
    expires: Annotated[timedelta | Literal["none"] | None, Parameter(validator=require_positive_time)] = None,
    data_dir: DataDir = None,
) -> None:
    """Change the name, the scopes or the expiry of a key. What is not named stays.

    A running service follows within two seconds.

    For example:

        pipelet keys change laptop --scope generate --scope observe

        pipelet keys change trial --expires 30d

    Parameters
    ----------
    name
        New name in the list. The user stays.
    expires
        Time from now until the key expires, or `none`: never.
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        found, changes = await find_key_by_name(store, key), KeyChanges()
        if name is not None:
            changes["name"] = name
        if scope:
            changes["scopes"] = frozenset(scope)
        if isinstance(expires, timedelta):
            changes["expires_at"] = store.clock.now() + expires.total_seconds()
        elif expires is not None:
            changes["expires_at"] = None
        if not changes:
            raise CommandError("Nothing to change. Give --name, --scope or --expires.")
        found = await keys.change_key(store, operator(), found.id, changes)
    print(
        f"Changed: {found.id} ({found.name}, user {found.user}); scopes: {to_text(found.scopes)}; "
        f"expires: {date(found.expires_at) or 'never'}."
    )


app.command(limit)
