"""Keys: list, create, find, change, rotate and revoke them."""

from typing import Annotated, Any, cast

from fastapi import Request
from fastapi.responses import Response
from pydantic import BeforeValidator, Field

from pipelet.api.errors import error_detail, json_response, validation_problem
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.lists import decode_cursor, encode_cursor, list_response
from pipelet.api.v1.reading import read_body, read_query
from pipelet.api.v1.schemas import Input, Output, PageQuery, Text, Time, iso_time
from pipelet.domain.accounts.api_keys import LIMIT_NAMES, ApiKey, KeyChanges, KeyLimits
from pipelet.domain.accounts.scopes import DEFAULT_SCOPES, Scope
from pipelet.services.accounts import keys
from pipelet.services.accounts.access import Caller
from pipelet.services.accounts.keys import NewKey

_LIST = "keys"
_MAX_NAME_CHARS = 200
_MAX_INTEGER = 2**31 - 1
_MAX_OVERLAP_HOURS = 366 * 24.0


def _require_printable(value: object) -> object:
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ValueError("Give a name of printable characters.")
    return value


Name = Annotated[Text, BeforeValidator(_require_printable), Field(min_length=1, max_length=_MAX_NAME_CHARS)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
Images = Annotated[int, Field(ge=1, le=_MAX_INTEGER)]


class Limits(Input):
    max_priority: int | None = Field(None, ge=-_MAX_INTEGER - 1, le=_MAX_INTEGER)
    max_queued_images: Images | None = None
    max_running_images: Images | None = None

    def given(self) -> KeyLimits:
        """The limits that were sent; None lifts one."""
        return cast(KeyLimits, {name: getattr(self, name) for name in LIMIT_NAMES if name in self.model_fields_set})


class CreateKey(Limits):
    name: Name
    user: Name | None = Field(None, description="An existing user, or a new one; by default a new user of that name.")
    scopes: Scopes | None = Field(None, description="By default `generate` alone.")
    expires_at: Time | None = None


class ChangeKey(Limits):
    """What is absent stays; null lifts a limit or an expiry."""

    name: Name = ""
    scopes: Scopes = Field([])
    expires_at: Time | None = None

    def changes(self) -> KeyChanges:
        changes = cast(KeyChanges, self.given())
        if "name" in self.model_fields_set:
            changes["name"] = self.name
        if "scopes" in self.model_fields_set:
            changes["scopes"] = frozenset(self.scopes)
        if "expires_at" in self.model_fields_set:
            changes["expires_at"] = self.expires_at
        return changes


class RotateKey(Input):
    overlap_hours: float = Field(
        24,
        ge=0,
        le=_MAX_OVERLAP_HOURS,
        allow_inf_nan=False,
        strict=True,
        description="Hours for which the old secret still works.",
    )


class FindKey(Input):
    key: Text = Field(max_length=1000)


class RevokeQuery(Input):
    cancel: bool = Field(False, description="Cancel its requests that still wait, too. The response takes two seconds.")


class KeyItem(Output):
    id: str
    name: str
    user: str
    state: str = Field(description="`valid`, `revoked` or `expired`.")
    scopes: list[str]
    created_at: str
    last_used_at: str | None = Field(description="Late by two minutes at most.")
    expires_at: str | None
    revoked_at: str | None
    max_priority: int | None
    max_queued_images: int | None
    max_running_images: int | None


class KeyWithSecret(KeyItem):
    key: str = Field(description="The secret: it is not shown again.")


class RotatedKey(KeyWithSecret):
    old_works_until: str


class Revoked(Output):
    id: str
    cancelled: int = Field(description="Requests that were cancelled.")


class KeyList(Output):
    items: list[KeyItem]
    next: str | None


async def list_keys(request: Request, _: Caller) -> Response:
    query, store = read_query(request, PageQuery), get_services(request).store
    after = decode_cursor(query.after, _LIST, float, str)
    found = sorted(await store.api_keys.list_keys(), key=_place, reverse=True)
    rest = [key for key in found if after is None or _place(key) < after]
    page = rest[: query.limit]
    following = encode_cursor(_LIST, *_place(page[-1])) if len(rest) > len(page) else None
    return list_response([_facts(key, store.clock.now()) for key in page], following)


async def show_key(request: Request, _: Caller) -> Response:
    store = get_services(request).store
    return json_response(200, _facts(await keys.get_key(store, _id_in(request)), store.clock.now()))


async def create_key(request: Request, caller: Caller) -> Response:
    wanted, store = await read_body(request, caller, CreateKey), get_services(request).store
    now = store.clock.now()
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise validation_problem(
            error_detail(["body", "expires_at"], "Give a time in the future.", sent=wanted.expires_at)
        )
    new = NewKey(
        name=wanted.name,
        user=wanted.user,
        scopes=frozenset(wanted.scopes) if wanted.scopes else DEFAULT_SCOPES,
        lifetime_seconds=None if wanted.expires_at is None else wanted.expires_at - now,
        limits=wanted.given(),
    )
    default_limits = get_services(request).default_limits
    key, secret = await keys.create_key(store, caller.actor, new, default_limits=default_limits)
    return json_response(201, _facts(key, now) | {"key": secret})


async def change_key(request: Request, caller: Caller) -> Response:
    wanted, store = await read_body(request, caller, ChangeKey, null_is_absent=False), get_services(request).store
    key = await keys.change_key(store, caller.actor, _id_in(request), wanted.changes())
    return json_response(200, _facts(key, store.clock.now()))


async def rotate_key(request: Request, caller: Caller) -> Response:
    wanted, store = await read_body(request, caller, RotateKey), get_services(request).store
    overlap, now = wanted.overlap_hours * 3600, store.clock.now()
    key, secret = await keys.rotate_key(store, caller.actor, _id_in(request), overlap_seconds=overlap)
    return json_response(200, _facts(key, now) | {"key": secret, "old_works_until": iso_time(now + overlap)})


async def revoke_key(request: Request, caller: Caller) -> Response:
    query, key_id = read_query(request, RevokeQuery), _id_in(request)
    cancelled = await keys.revoke_key(get_services(request).store, caller.actor, key_id, cancel=query.cancel)
    return json_response(200, {"id": key_id, "cancelled": cancelled})


async def find_key(request: Request, caller: Caller) -> Response:
    wanted, store = await read_body(request, caller, FindKey), get_services(request).store
    return json_response(200, _facts(await keys.find_key(store, wanted.key.strip()), store.clock.now()))


def _id_in(request: Request) -> str:
    return str(request.path_params["key_id"])


def _place(key: ApiKey) -> tuple[float, str]:
    return key.created_at, key.id


def _facts(key: ApiKey, now: float) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "user": key.user,
        "state": key.state(now).value,
        "scopes": [scope.value for scope in Scope if scope in key.scopes],
        "created_at": iso_time(key.created_at),
        "last_used_at": iso_time(key.last_used_at),
        "expires_at": iso_time(key.expires_at),
        "revoked_at": iso_time(key.revoked_at),
        **{name: getattr(key, name) for name in LIMIT_NAMES},
    }
