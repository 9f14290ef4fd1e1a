"""`pipelet keys`: make, list and revoke API keys. Straight in the database: the service may run meanwhile, or not."""

import asyncio
import json
import sys
from datetime import timedelta
from typing import Annotated, Any, Literal, cast

from cyclopts import App, Parameter

from pipelet import settings
from pipelet.cli.flags import AsJson, DataDir, Switch
from pipelet.cli.in_store import Refused, in_store, key_called
from pipelet.cli.tables import date, print_table, requests
from pipelet.domain.ids import new_token
from pipelet.domain.keys import FRESH_SECONDS, LIMITS, ApiKey, KeyLimits, hash_secret, new_secret
from pipelet.domain.ports import JobStore

_INTEGER = 2**31

app = App(name="keys", help="Make, list and revoke API keys. The service may run meanwhile, and need not be restarted.")


def _later(_type: object, value: timedelta | None) -> None:
    if value is not None and value <= timedelta():
        raise ValueError("give a time to come, such as 30d, 12h or 90m")


def _fits(_type: object, value: int | str | None) -> None:
    if isinstance(value, int) and not -_INTEGER <= value < _INTEGER:
        raise ValueError(f"priorities go from {-_INTEGER} to {_INTEGER - 1}")


def _positive(_type: object, value: int | str | None) -> None:
    if isinstance(value, int) and not 1 <= value < _INTEGER:
        raise ValueError("give a number of images, 1 or more")


def _not_blank(_type: object, value: str | None) -> None:
    if value is not None and not (value.strip() and value.isprintable()):
        raise ValueError("give a name that can be read")


@app.command
def create(
    name: Annotated[str, Parameter(validator=_not_blank)],
    /,
    *,
    user: Annotated[str | None, Parameter(validator=_not_blank)] = None,
    expires: Annotated[timedelta | None, Parameter(validator=_later)] = None,
    max_priority: Annotated[int | None, Parameter(validator=_fits)] = None,
    max_queued_images: Annotated[int | None, Parameter(validator=_positive)] = None,
    max_running_images: Annotated[int | None, Parameter(validator=_positive)] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it. It is shown this one time: only its hash is kept.

    For example:

        pipelet keys create laptop --user ada

        pipelet keys create trial --expires 30d --max-priority 0 --max-queued-images 20 --max-running-images 4

    Parameters
    ----------
    name
        What to call the key in the list.
    user
        Whose it is. A user sees only their own requests, with any of their keys. [default: a new one of the key's name]
    expires
        Until when it works, from now on: 30d, 12h, 90m. [default: until it is revoked]
    max_priority
        The highest priority that requests made with it may ask for. [default: any]
    max_queued_images
        How many images of its requests may wait; a batch of 4 counts 4. More are refused for now. [default: any number]
    max_running_images
        How many images of its requests may be drawn at once; more wait, and others go first. [default: any number]
    as_json
        Print one JSON object and nothing else.
    """
    secret = new_secret()

    async def add(store: JobStore) -> tuple[ApiKey, float]:
        now = store.clock.now()
        if user is None:
            await _refuse_known_user(store, name)
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
        await store.add_key(key)
        return key, now

    key, now = in_store(settings.load(data_dir=data_dir), add)
    if as_json:
        print(json.dumps({**_facts(key, now), "key": secret}))
        return
    print(secret)
    print(
        f"Keep it: it is shown this one time. Its id is {key.id}, its user is {key.user}.\n"
        f"Limits: {_limits(key)}. Change them with `pipelet keys limit {key.id}`.",
        file=sys.stderr,
    )


async def _refuse_known_user(store: JobStore, name: str) -> None:
    """A key reads all requests of its user: which user that is must not depend on which names are taken."""
    known = [key for key in await store.keys() if key.user == name]
    if known:
        raise Refused(
            f"There is a user {name} already, whose keys are {', '.join(f'{key.id} ({key.name})' for key in known)}. "
            f"Add `--user {name}` for one more key of this user, or choose another name."
        )


@app.command(name="list")
def list_keys(
    *,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List all keys: whose they are, until when they work, and what they may. The keys themselves are not known here.

    For example:

        pipelet keys list

    Parameters
    ----------
    as_json
        Print one JSON list and nothing else.
    """

    async def facts_of_keys(store: JobStore) -> list[dict[str, Any]]:
        return [_facts(key, store.clock.now()) for key in await store.keys()]

    facts = in_store(settings.load(data_dir=data_dir), facts_of_keys)
    if as_json:
        print(json.dumps(facts))
        return
    print_table(_COLUMNS, ([each[name] for name in _COLUMNS] for each in facts))


@app.command
def revoke(key: str, /, *, cancel: Switch = False, data_dir: DataDir = None) -> None:
    """Revoke a key, for good: a running service stops taking it within two seconds.

    Requests that were made with it go on, and can be read with the other keys of its user. URLs of files work until
    they expire (PIPELET_URL_SECONDS).

    For example:

        pipelet keys revoke 0c94d2a7b1e3

        pipelet keys revoke laptop --cancel

    Parameters
    ----------
    key
        Its id, as `pipelet keys list` shows it; or its name or its user, where only one valid key has it.
    cancel
        Cancel the requests that were made with it and have not begun, too.
    """

    async def revoke_one(store: JobStore) -> tuple[ApiKey, int]:
        found = await key_called(store, key)
        await store.revoke_key(found.id, store.clock.now())
        return found, await _cancel_requests_of(store, found) if cancel else 0

    found, cancelled = in_store(settings.load(data_dir=data_dir), revoke_one)
    print(f"Revoked: {found.id} ({found.name}, user {found.user}).")
    if cancel:
        print(f"Cancelled: {requests(cancelled)}.")


async def _cancel_requests_of(store: JobStore, key: ApiKey) -> int:
    cancelled = await store.cancel_queued(await store.list_queued(key_id=key.id), store.clock.now())
    await asyncio.sleep(FRESH_SECONDS)  # until then a running service may take the key for one more request
    return cancelled + await store.cancel_queued(await store.list_queued(key_id=key.id), store.clock.now())


@app.command
def limit(
    key: str,
    /,
    *,
    max_priority: Annotated[int | Literal["none"] | None, Parameter(validator=_fits)] = None,
    max_queued_images: Annotated[int | Literal["none"] | None, Parameter(validator=_positive)] = None,
    max_running_images: Annotated[int | Literal["none"] | None, Parameter(validator=_positive)] = None,
    data_dir: DataDir = None,
) -> None:
    """Change limits of a key. Those that are not named stay as they are; `none` removes one.

    A running service goes by them within two seconds. Requests that were submitted while the key had no limit of images
    do not count against a new one.

    For example:

        pipelet keys limit 0c94d2a7b1e3 --max-queued-images 40 --max-running-images 8

        pipelet keys limit laptop --max-priority none

    Parameters
    ----------
    key
        Its id, as `pipelet keys list` shows it; or its name or its user, where only one valid key has it.
    max_priority
        The highest priority that requests made with it may ask for.
    max_queued_images
        How many images of its requests may wait; a batch of 4 counts 4. More are refused for now.
    max_running_images
        How many images of its requests may be drawn at once; more wait, and others go first.
    """
    given = zip(LIMITS, (max_priority, max_queued_images, max_running_images), strict=True)
    changes: dict[str, int | None] = {name: _number(value) for name, value in given if value is not None}

    async def change(store: JobStore) -> ApiKey:
        found = await key_called(store, key)
        return await store.limit_key(found.id, cast(KeyLimits, changes)) or found

    if not changes:
        raise Refused(f"Nothing to change: give {', '.join(map(_flag, LIMITS))}, or several of them.")
    found = in_store(settings.load(data_dir=data_dir), change)
    print(f"Limits of {found.id} ({found.name}, user {found.user}): {_limits(found)}.")


def _number(value: int | Literal["none"]) -> int | None:
    return None if value == "none" else value


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _limits(key: ApiKey) -> str:
    values = ((name, getattr(key, name)) for name in LIMITS)
    return ", ".join(f"{_flag(name)} {'none' if value is None else value}" for name, value in values)


_COLUMNS = ("id", "name", "user", "state", "created_at", "expires_at", *LIMITS)


def _facts(key: ApiKey, now: float) -> dict[str, Any]:
    """Everything but its hash."""
    state = "revoked" if key.revoked_at is not None else "expired" if key.refusal(now) else "valid"
    return {
        "id": key.id,
        "name": key.name,
        "user": key.user,
        "state": state,
        "created_at": date(key.created_at),
        "expires_at": date(key.expires_at),
        "revoked_at": date(key.revoked_at),
        **{name: getattr(key, name) for name in LIMITS},
    }
