"""Limits of users: show and change them."""

from typing import Annotated, cast

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.description import operation
from pipelet.api.v1.limit_values import UsedByUser, UserLimitValues, used_by_user
from pipelet.api.v1.reading import read_body
from pipelet.api.v1.schemas import Input, Output
from pipelet.domain.accounts.limits import DEFAULT_BURST, UserLimitChanges, numbers
from pipelet.services.accounts import limits
from pipelet.services.accounts.access import Caller

_MAX_INTEGER = 2**31 - 1
_MAX_BYTES = 2**53 - 1
_MAX_PER_SECOND = 1e6

Count = Annotated[int, Field(ge=1, le=_MAX_INTEGER)]


class ChangeUserLimits(Input):
    """What is absent stays; null lifts a limit."""

    max_priority: int | None = Field(None, ge=-_MAX_INTEGER - 1, le=_MAX_INTEGER)
    max_queued_images: Count | None = None
    max_running_images: Count | None = None
    max_submits_per_second: float | None = Field(None, gt=0, le=_MAX_PER_SECOND, allow_inf_nan=False, strict=True)
    submit_burst: Count = Field(DEFAULT_BURST, description="Submits at once, after a pause.")
    max_stored_bytes: int | None = Field(None, ge=1, le=_MAX_BYTES)
    max_webhooks_per_minute: Count | None = None

    def changes(self) -> UserLimitChanges:
        return cast(UserLimitChanges, {name: getattr(self, name) for name in self.model_fields_set})


class UserLimitsItem(Output):
    user: str
    limits: UserLimitValues
    used: UsedByUser


SHOW = operation(
    "Show the limits of a user", "And what is used of them. Needs `keys`.", answer=UserLimitsItem, errors=[404]
)
CHANGE = operation(
    "Change the limits of a user",
    "Changes what is in the body, and nothing else; null lifts a limit. Services follow within two seconds.",
    answer=UserLimitsItem,
    errors=[404],
    body=ChangeUserLimits,
)


async def show_user_limits(request: Request, _: Caller) -> Response:
    return await _respond(request)


async def change_user_limits(request: Request, caller: Caller) -> Response:
    wanted = await read_body(request, caller, ChangeUserLimits, null_is_absent=False)
    if changes := wanted.changes():
        await limits.change_user_limits(get_services(request).store, caller.actor, _user_in(request), changes)
    return await _respond(request)


async def _respond(request: Request) -> Response:
    store, user = get_services(request).store, _user_in(request)
    quota = await limits.get_user_quota(store, user)
    used = used_by_user(quota, store.clock.now())
    return json_response(200, {"user": user, "limits": numbers(quota.limits), "used": used})


def _user_in(request: Request) -> str:
    return str(request.path_params["user"])
