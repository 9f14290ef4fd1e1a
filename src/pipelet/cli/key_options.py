"""Flags that the commands of `pipelet keys` share, and how they show a key."""

from datetime import timedelta
from typing import Annotated, Any, cast

from cyclopts import Parameter

from pipelet.cli.output import date
from pipelet.domain.accounts.api_keys import LIMIT_NAMES, ApiKey, KeyLimits
from pipelet.domain.accounts.scopes import Scope, to_text

_MAX_INTEGER = 2**31
_MAX_OVERLAP = timedelta(days=366)


def require_positive_time(_type: object, value: timedelta | str | None) -> None:
    if isinstance(value, timedelta) and value <= timedelta():
        raise ValueError("give a positive time, such as 30d, 12h or 90m")


def require_time(_type: object, value: timedelta) -> None:
    if not timedelta() <= value <= _MAX_OVERLAP:
        raise ValueError("give a time of a year at most, such as 24h, or 0s")


def require_priority(_type: object, value: int | str | None) -> None:
    if isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
        raise ValueError(f"priorities range from {-_MAX_INTEGER} to {_MAX_INTEGER - 1}")


def require_image_count(_type: object, value: int | str | None) -> None:
    if isinstance(value, int) and not 1 <= value < _MAX_INTEGER:
        raise ValueError("give a number of images, 1 or more")


def require_name(_type: object, value: str | None) -> None:
    if value is not None and not (value.strip() and value.isprintable()):
        raise ValueError("give a name of printable characters")


MAX_PRIORITY = Parameter(validator=require_priority, help="Highest priority that its requests may have.")
MAX_QUEUED = Parameter(
    validator=require_image_count,
    help="Maximum number of queued images; a batch of 4 counts 4. Requests above it are rejected.",
)
MAX_RUNNING = Parameter(
    validator=require_image_count, help="Maximum number of images that are generated at once; the others wait."
)
Scopes = Annotated[
    tuple[Scope, ...],
    Parameter(
        negative=(),
        help="What it may do; repeat the flag for several. generate: make requests; observe: see those of all users "
        "without their content; operate: act on them, and on the queue; keys: manage keys; content: see prompts and "
        "images of all users.",
    ),
]
KeyId = Annotated[
    str,
    Parameter(help="Id of the key, as in `pipelet keys list`; or its name or user, if only one valid key has it."),
]


def given_limits(*values: int | str | None) -> KeyLimits:
    """Return the limits that were given, in the order of `LIMIT_NAMES`."""
    given = zip(LIMIT_NAMES, values, strict=True)
    return cast(KeyLimits, {name: None if value == "none" else value for name, value in given if value is not None})


def flag_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def limits_of(key: ApiKey) -> str:
    values = ((name, getattr(key, name)) for name in LIMIT_NAMES)
    return ", ".join(f"{flag_of(name)} {'none' if value is None else value}" for name, value in values)


COLUMNS = ("id", "name", "user", "state", "scopes", "created_at", "last_used_at", "expires_at", *LIMIT_NAMES)


def facts_of(key: ApiKey, now: float) -> dict[str, Any]:
    """Return all fields of a key but its hash."""
    return {
        "id": key.id,
        "name": key.name,
        "user": key.user,
        "state": key.state(now).value,
        "scopes": to_text(key.scopes).split(),
        "created_at": date(key.created_at),
        "last_used_at": date(key.last_used_at),
        "expires_at": date(key.expires_at),
        "revoked_at": date(key.revoked_at),
        **{name: getattr(key, name) for name in LIMIT_NAMES},
    }


def row_of(facts: dict[str, Any]) -> list[object]:
    """Return what `facts_of` returned as a row of `COLUMNS`."""
    return [" ".join(facts[name]) if name == "scopes" else facts[name] for name in COLUMNS]
