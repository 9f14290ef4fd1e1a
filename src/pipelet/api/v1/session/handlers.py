"""Sign in, sign out, and who is signed in."""

import math
from contextlib import AsyncExitStack

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import error_detail, json_response, problem_response, validation_problem
from pipelet.api.request_urls import client_address
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.limit_values import used_by_user
from pipelet.api.v1.reading import validate
from pipelet.api.v1.schemas import Input, Text, iso_time
from pipelet.api.v1.session.browser_rules import require_known_host, require_own_page
from pipelet.domain.accounts.api_keys import LIMIT_NAMES
from pipelet.domain.accounts.limits import numbers
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import RefusedKey
from pipelet.services.accounts import limits
from pipelet.services.accounts.access import Caller

_MAX_BODY_BYTES = 16 * 1024
_MAX_SECRET_CHARS = 200


class NewSession(Input):
    key: Text | None = Field(None, max_length=_MAX_SECRET_CHARS, description="A key; or `code`.")
    code: Text | None = Field(None, max_length=_MAX_SECRET_CHARS, description="A login code of `pipelet login`.")
    remember: bool = Field(False, description="Let the browser keep the cookie when it is closed.")


async def sign_in(request: Request) -> Response:
    """Start a session: the only route that needs neither a key nor a cookie."""
    deps, accounts, scope = get_dependencies(request), get_services(request).accounts, request.scope
    require_known_host(deps.public_url, scope)
    require_own_page(deps.public_url, scope)
    accounts.cookie.require_kept(scope)
    wanted = await _read(request)
    user_agent = request.headers.get("user-agent", "")
    try:
        if wanted.key is not None:
            secret = await accounts.sessions.start_with_key(wanted.key, user_agent=user_agent)
        else:
            secret = await accounts.sessions.start_with_code(wanted.code or "", user_agent=user_agent)
    except RefusedKey as error:
        deps.refusals.note(scope, error.kind)
        wait = math.ceil(accounts.failed_logins.note(client_address(scope)))
        if wait:
            message = f"Too many failed logins from this address. Try again in {wait} seconds."
            return problem_response(
                429, message, error_type="too_many_failed_logins", headers={"Retry-After": str(wait)}
            )
        return problem_response(401, str(error), error_type="unauthorized")
    if (earlier := accounts.cookie.read(scope)) is not None:
        await accounts.sessions.end(earlier)
    response = Response(status_code=204)
    accounts.cookie.set(response, scope, secret, remember=wanted.remember)
    return response


async def show_session(request: Request, caller: Caller) -> Response:
    services, key = get_services(request), caller.key
    use = await services.store.api_keys.use(key.id) if key.has_limits else None
    quota = await limits.get_quota(services.store, key)
    body = {
        "user": key.user,
        "key": {
            "id": key.id,
            "name": key.name,
            "scopes": [scope for scope in Scope if scope in key.scopes],
            "expires_at": iso_time(key.expires_at),
        },
        "limits": {name: getattr(key, name) for name in LIMIT_NAMES},
        "used": {
            "queued_images": use and use.queued_images,
            "running_images": use and use.running_images,
        },
        "user_limits": numbers(quota.limits),
        "used_by_user": used_by_user(quota, services.store.clock.now()),
        "version": request.app.version,
    }
    return json_response(200, body)


async def sign_out(request: Request, _: Caller) -> Response:
    accounts = get_services(request).accounts
    response = Response(status_code=204)
    if (secret := accounts.cookie.read(request.scope)) is not None:
        await accounts.sessions.end(secret)
        accounts.cookie.clear(response, request.scope)
    return response


async def _read(request: Request) -> NewSession:
    bodies = get_dependencies(request).bodies
    async with AsyncExitStack() as stack:
        user = client_address(request.scope) or ""
        fields = await bodies.read_json(request, stack, user=user, max_bytes=_MAX_BODY_BYTES)
    wanted = validate(NewSession, {name: value for name, value in fields.items() if value is not None}, "body")
    if (wanted.key is None) == (wanted.code is None):
        raise validation_problem(error_detail(["body"], "Send either `key` or `code`.", "missing"))
    return wanted
