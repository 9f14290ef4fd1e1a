"""Flags for the limits of a user, and how the commands of `pipelet keys` show them."""

import shlex
from collections.abc import Mapping
from typing import Any, cast

from cyclopts import Parameter

from pipelet.cli.key_options import flag_of
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.accounts.limits import (
    USER_LIMIT_NAMES,
    Refusal,
    UserLimitChanges,
    UserLimits,
    UserQuota,
    in_gib,
    numbers,
    to_bytes,
)

_BYTES, _GIB = "max_stored_bytes", "max_stored_gib"


def _require_positive(_type: object, value: float | str | None) -> None:
    if isinstance(value, int | float) and not 0 < value <= 1_000_000:
        raise ValueError("give a positive number of a million at most")


def _require_one(_type: object, value: int | str | None) -> None:
    if isinstance(value, int) and not 1 <= value <= 1_000_000:
        raise ValueError("give a number from 1 to a million")


def _require_burst(_type: object, value: int | str | None) -> None:
    if isinstance(value, str):
        raise ValueError("give a number; `--max-submits-per-second none` lifts the limit")
    _require_one(_type, value)


MAX_SUBMITS = Parameter(validator=_require_positive, help="Submits per second in the long run. With --user.")
SUBMIT_BURST = Parameter(validator=_require_burst, help="Submits at once, after a pause. With --user.")
MAX_STORED = Parameter(
    validator=_require_positive,
    help="GiB of files; while as much or more is stored, requests are rejected. With --user.",
)
MAX_WEBHOOKS = Parameter(
    validator=_require_one, help="Webhooks per minute; those beyond it are sent later. With --user."
)


def user_changes(
    images: Mapping[str, int | None],
    *,
    max_submits_per_second: float | str | None,
    submit_burst: int | str | None,
    max_stored_gib: float | str | None,
    max_webhooks_per_minute: int | str | None,
) -> UserLimitChanges:
    """Return the limits that were given; `none` lifts one.

    Args:
        images: those that a key may have as well.
    """
    stored = to_bytes(max_stored_gib) if isinstance(max_stored_gib, float | int) else max_stored_gib
    given = {
        "max_submits_per_second": max_submits_per_second,
        "submit_burst": submit_burst,
        _BYTES: stored,
        "max_webhooks_per_minute": max_webhooks_per_minute,
    }
    of_user = {name: None if value == "none" else value for name, value in given.items() if value is not None}
    return cast(UserLimitChanges, {**images, **of_user})


def flags_of_user() -> list[str]:
    return [flag_of(_GIB if name == _BYTES else name) for name in USER_LIMIT_NAMES]


def user_limits_text(limits: UserLimits) -> str:
    values = {name: "none" if value is None else value for name, value in numbers(limits).items()}
    if limits.max_stored_bytes is not None:
        values[_BYTES] = f"{limits.max_stored_bytes / to_bytes(1):g}"
    if limits.max_submits_per_second is not None:
        values["max_submits_per_second"] = f"{limits.max_submits_per_second:g}"
    return ", ".join(f"{flag} {value}" for flag, value in zip(flags_of_user(), values.values(), strict=True))


def of_user_text(key: ApiKey, quota: UserQuota) -> str:
    """Return which limits of its user apply to a key, and the command that changes them."""
    if key.is_admin:
        return "Limits of its user do not apply to a key with every scope."
    return (
        f"Limits of its user, for all keys together: {user_limits_text(quota.limits)}. Change them with "
        f"`pipelet keys limit --user {shlex.quote(key.user)}`."
    )


def use_text(quota: UserQuota, now: float) -> str:
    """Return what a user has used, in one sentence."""
    used = [f"{quota.queued_images} images queued"]
    if quota.limits.max_running_images is not None:
        used.append(f"{quota.running_images} running")
    used.append(f"{in_gib(quota.stored_bytes)} stored")
    if (submits := quota.submits_left(now)) is not None:
        used.append(f"{submits} submits left at once")
    return ", ".join(used)


def refusals_text(refusals: Mapping[Refusal, int]) -> str:
    """Return how many requests were refused, by reason."""
    sums: dict[str, int] = {}
    for refusal, requests in refusals.items():
        sums[refusal.reason] = sums.get(refusal.reason, 0) + requests
    return ", ".join(f"{requests} by {reason}" for reason, requests in sorted(sums.items())) or "none"


def user_facts(user: str, quota: UserQuota, now: float) -> dict[str, Any]:
    return {
        "user": user,
        "limits": numbers(quota.limits),
        "used": {
            "queued_images": quota.queued_images,
            "running_images": quota.running_images,
            "stored_bytes": quota.stored_bytes,
            "submits_left": quota.submits_left(now),
        },
    }
