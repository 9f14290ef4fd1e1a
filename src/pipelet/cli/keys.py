"""`pipelet keys`: make, list and revoke API keys. Straight in the database: the service may run meanwhile, or not."""

import json
import sys
from datetime import timedelta
from typing import Annotated, Any

from cyclopts import App, Parameter

from pipelet import settings
from pipelet.cli.flags import AsJson, DataDir
from pipelet.cli.in_store import Refused, in_store
from pipelet.cli.tables import date, print_table
from pipelet.domain.ids import new_token
from pipelet.domain.keys import ApiKey, hash_secret, new_secret
from pipelet.domain.ports import JobStore

_INTEGER = 2**31

app = App(name="keys", help="Make, list and revoke API keys. The service may run meanwhile, and need not be restarted.")


def _later(_type: object, value: timedelta | None) -> None:
    if value is not None and value <= timedelta():
        raise ValueError("give a time to come, such as 30d, 12h or 90m")


def _fits(_type: object, value: int | None) -> None:
    if value is not None and not -_INTEGER <= value < _INTEGER:
        raise ValueError(f"priorities go from {-_INTEGER} to {_INTEGER - 1}")


def _positive(_type: object, value: int | None) -> None:
    if value is not None and not 1 <= value < _INTEGER:
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
        Whose it is. A user sees only their own requests, with any of their keys. [default: the key's name]
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
    print(f"Keep it: it is shown this one time. Its id, to revoke it by, is {key.id}.", file=sys.stderr)


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
def revoke(key_id: str, /, *, data_dir: DataDir = None) -> None:
    """Revoke a key, for good: a running service stops taking it within seconds. Requests made with it go on.

    For example:

        pipelet keys revoke 0c94d2a7b1e3

    Parameters
    ----------
    key_id
        Its id, as `pipelet keys list` shows it.
    """
    if not in_store(settings.load(data_dir=data_dir), lambda store: store.revoke_key(key_id, store.clock.now())):
        raise _unknown(key_id)
    print(f"Revoked: {key_id}.")


@app.command
def limit(
    key_id: str,
    /,
    *,
    max_queued_images: Annotated[int | None, Parameter(validator=_positive)] = None,
    max_running_images: Annotated[int | None, Parameter(validator=_positive)] = None,
    data_dir: DataDir = None,
) -> None:
    """Give a key new limits; one that is left out is lifted. A running service goes by them within seconds.

    Requests that were submitted while the key had no limit at all do not count against the new ones.

    For example:

        pipelet keys limit 0c94d2a7b1e3 --max-queued-images 40 --max-running-images 8

    Parameters
    ----------
    key_id
        Its id, as `pipelet keys list` shows it.
    max_queued_images
        How many images of its requests may wait; a batch of 4 counts 4. More are refused for now. [default: any number]
    max_running_images
        How many images of its requests may be drawn at once; more wait, and others go first. [default: any number]
    """
    limits = {"max_queued_images": max_queued_images, "max_running_images": max_running_images}
    if not in_store(settings.load(data_dir=data_dir), lambda store: store.limit_key(key_id, **limits)):
        raise _unknown(key_id)
    said = ", ".join(f"{name} {'any number' if value is None else value}" for name, value in limits.items())
    print(f"Limits of {key_id}: {said}.")


def _unknown(key_id: str) -> Refused:
    return Refused(f"There is no key with the id {key_id}. See `pipelet keys list`.")


_LIMITS = ("max_priority", "max_queued_images", "max_running_images")
_COLUMNS = ("id", "name", "user", "state", "created_at", "expires_at", *_LIMITS)


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
        "max_priority": key.max_priority,
        "max_queued_images": key.max_queued_images,
        "max_running_images": key.max_running_images,
    }
