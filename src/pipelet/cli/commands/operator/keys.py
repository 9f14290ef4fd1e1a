"""`pipelet keys`: create, list, limit and revoke API keys."""

import asyncio
import json
import sys
from datetime import timedelta
from typing import Annotated, Any, Literal, cast

from cyclopts import App, Parameter

from pipelet import settings
from pipelet.cli.database import CommandError, find_key_by_name
from pipelet.cli.options import AsJson, DataDir, Switch
from pipelet.cli.output import date, print_table, requests
from pipelet.domain.accounts.api_keys import KEY_CACHE_SECONDS, LIMIT_NAMES, ApiKey, KeyLimits, hash_secret, new_secret
from pipelet.domain.ids import new_token
from pipelet.domain.ports.store import Store
from pipelet.services.queue.admin import cancel_requests
from pipelet.wiring.store import open_store

_MAX_INTEGER = 2**31

app = App(name="keys", help="Create, list, limit and revoke API keys. A running service follows without a restart.")


def _require_positive_time(_type: object, value: timedelta | None) -> None:
    if value is not None and value <= timedelta():
        raise ValueError("give a positive time, such as 30d, 12h or 90m")


def _require_priority(_type: object, value: int | str | None) -> None:
    if isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
        raise ValueError(f"priorities range from {-_MAX_INTEGER} to {_MAX_INTEGER - 1}")


def _require_image_count(_type: object, value: int | str | None) -> None:
    if isinstance(value, int) and not 1 <= value < _MAX_INTEGER:
        raise ValueError("give a number of images, 1 or more")


def _require_name(_type: object, value: str | None) -> None:
    if value is not None and not (value.strip() and value.isprintable()):
        raise ValueError("give a name of printable characters")


_MAX_PRIORITY = Parameter(validator=_require_priority, help="Highest priority that its requests may have.")
_MAX_QUEUED = Parameter(
    validator=_require_image_count,
    help="Maximum number of queued images; a batch of 4 counts 4. Requests above it are rejected.",
)
_MAX_RUNNING = Parameter(
    validator=_require_image_count, help="Maximum number of images that are generated at once; the others wait."
)
_KeyId = Annotated[
    str,
    Parameter(help="Id of the key, as in `pipelet keys list`; or its name or user, if only one valid key has it."),
]


@app.command
async def create(
    name: Annotated[str, Parameter(validator=_require_name)],
    /,
    *,
    user: Annotated[str | None, Parameter(validator=_require_name)] = None,
    expires: Annotated[timedelta | None, Parameter(validator=_require_positive_time)] = None,
    max_priority: Annotated[int | None, _MAX_PRIORITY] = None,
    max_queued_images: Annotated[int | None, _MAX_QUEUED] = None,
    max_running_images: Annotated[int | None, _MAX_RUNNING] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Create a key and print it. This is the only time that it is shown: only its hash is stored.

    By default it has no limits.

    For example:

        pipelet keys create laptop --user ada

        pipelet keys create trial --expires 30d --max-priority 0 --max-queued-images 20 --max-running-images 4

    Parameters
    ----------
    name
        Name of the key in the list.
    user
        User of the key. A user sees only their own requests, with any of their keys. [default: a new user of that name]
    expires
        Time until the key expires: 30d, 12h, 90m. [default: never]
    """
    secret = new_secret()
    async with open_store(settings.load(data_dir=data_dir)) as store:
        now = store.clock.now()
        if user is None:
            await _require_new_user(store, name)
        key = ApiKey(
            id=new_token()[:12],
            name=name,
            user=user or name,
            hash=hash_secret(secret),
            created_at=now,
            expires_at=now + expires.total_seconds() if expires else None,
            max_priority=max_priority,
            max_queued_images=max_queued_images,
            max_running_images=max_running_images,
        )
        await store.api_keys.add(key)
    if as_json:
        print(json.dumps({**_facts(key, now), "key": secret}))
        return
    print(secret)
    print(
        f"Save it now: it is not shown again. Its id is {key.id}, its user is {key.user}.\n"
        f"Limits: {_limits(key)}. Change them with `pipelet keys limit {key.id}`.",
        file=sys.stderr,
    )


async def _require_new_user(store: Store, name: str) -> None:
    """Refuse an existing user: a key reads all requests of its user, so it must not join one by accident."""
    known = [key for key in await store.api_keys.list_keys() if key.user == name]
    if known:
        raise CommandError(
            f"The user {name} already exists, with the keys {', '.join(f'{key.id} ({key.name})' for key in known)}. "
            f"Add `--user {name}` for another key of this user, or choose another name."
        )


@app.command(name="list")
async def list_keys(*, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List all keys with their users, states and limits. The secrets are not stored.

    For example:

        pipelet keys list
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        facts = [_facts(key, store.clock.now()) for key in await store.api_keys.list_keys()]
    if as_json:
        print(json.dumps(facts))
        return
    print_table(_COLUMNS, ([each[name] for name in _COLUMNS] for each in facts))


@app.command
async def revoke(key: _KeyId, /, *, cancel: Switch = False, data_dir: DataDir = None) -> None:
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
        await store.api_keys.revoke(found.id, store.clock.now())
        print(f"Revoked: {found.id} ({found.name}, user {found.user}).")
        if cancel:
            cancelled = await cancel_requests(store, key_id=found.id)
            await asyncio.sleep(KEY_CACHE_SECONDS)  # until then a running service may accept another request
            cancelled += await cancel_requests(store, key_id=found.id)
            print(f"Cancelled: {requests(cancelled)}.")


@app.command
async def limit(
    key: _KeyId,
    /,
    *,
    max_priority: Annotated[int | Literal["none"] | None, _MAX_PRIORITY] = None,
    max_queued_images: Annotated[int | Literal["none"] | None, _MAX_QUEUED] = None,
    max_running_images: Annotated[int | Literal["none"] | None, _MAX_RUNNING] = None,
    data_dir: DataDir = None,
) -> None:
    """Change limits of a key. Limits that are not named stay; `none` removes one.

    A running service applies them within two seconds. Requests that were submitted while the key had no limit of images
    do not count against a new one.

    For example:

        pipelet keys limit 0c94d2a7b1e3 --max-queued-images 40 --max-running-images 8

        pipelet keys limit laptop --max-priority none
    """
    given = zip(LIMIT_NAMES, (max_priority, max_queued_images, max_running_images), strict=True)
    changes = {name: None if value == "none" else value for name, value in given if value is not None}
    if not changes:
        raise CommandError(f"No limit given. Give {', '.join(map(_flag, LIMIT_NAMES))}.")
    async with open_store(settings.load(data_dir=data_dir)) as store:
        found = await find_key_by_name(store, key)
        found = await store.api_keys.set_limits(found.id, cast(KeyLimits, changes)) or found
    print(f"Limits of {found.id} ({found.name}, user {found.user}): {_limits(found)}.")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _limits(key: ApiKey) -> str:
    values = ((name, getattr(key, name)) for name in LIMIT_NAMES)
    return ", ".join(f"{_flag(name)} {'none' if value is None else value}" for name, value in values)


_COLUMNS = ("id", "name", "user", "state", "created_at", "expires_at", *LIMIT_NAMES)


def _facts(key: ApiKey, now: float) -> dict[str, Any]:
    """Return all fields of a key but its hash."""
    state = "revoked" if key.revoked_at is not None else "expired" if key.invalid_reason(now) else "valid"
    return {
        "id": key.id,
        "name": key.name,
        "user": key.user,
        "state": state,
        "created_at": date(key.created_at),
        "expires_at": date(key.expires_at),
        "revoked_at": date(key.revoked_at),
        **{name: getattr(key, name) for name in LIMIT_NAMES},
    }
