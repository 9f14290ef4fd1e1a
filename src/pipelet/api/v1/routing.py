"""A route of `/api/v1`: its caller is known, and has the scope of the route, before its handler runs."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request
from fastapi.responses import Response

from pipelet.api import routing
from pipelet.api.auth import authenticate, has_key
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import Problem
from pipelet.api.middleware.access_log import note_key
from pipelet.api.request_urls import client_address
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.description import V1Operation
from pipelet.api.v1.session.browser_rules import require_known_host, require_own_page
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import AuthenticationError, InvalidQuery, NotFound, NotPossible, PipeletError, RefusedKey
from pipelet.services.accounts.access import Caller

V1Handler = Callable[[Request, Caller], Awaitable[Response]]

_PROBLEMS: Mapping[type[PipeletError], tuple[int, str]] = {
    AuthenticationError: (401, "unauthorized"),
    NotFound: (404, "not_found"),
    NotPossible: (409, "not_possible"),
    InvalidQuery: (422, "value_error"),
}
"""Status and `error_type` of errors that have no `error_type` in the queue routes."""


class OpenRoute(routing.Route):
    """A route for callers without a key."""


class Route(routing.Route):
    """
    Args:
        scope: what the key of the caller must have; None: any valid key.
        or_scope: another scope that suffices.
        takes_image: its body is an image, not JSON.
        operation: what OpenAPI says.
    """

    def __init__(
        self,
        method: str,
        path: str,
        handler: V1Handler,
        scope: Scope | None,
        operation: V1Operation,
        *,
        or_scope: Scope | None = None,
        takes_image: bool = False,
    ) -> None:
        async def respond(request: Request) -> Response:
            try:
                caller = await find_caller(request, takes_image=takes_image)
                if scope is not None and not (or_scope is not None and caller.has(or_scope)):
                    caller.require(scope)
                if any("\0" in str(value) for value in request.path_params.values()):
                    raise NotFound("Nothing here has a name with a NUL character.")  # no database stores it
                return await handler(request, caller)
            except tuple(_PROBLEMS) as error:
                status, error_type = next(_PROBLEMS[kind] for kind in type(error).__mro__ if kind in _PROBLEMS)
                raise Problem(status, str(error), error_type=error_type) from error

        super().__init__(method, path, respond, operation)
        self.scope = scope
        self.or_scope = or_scope


async def find_caller(request: Request, *, takes_image: bool = False) -> Caller:
    """The caller by key, or else by the cookie of a session, which only our own pages may use.

    Args:
        takes_image: the body is an image, not JSON.

    Raises:
        AuthenticationError: the request has neither a valid key nor a valid session; the message says how to fix it.
        Problem: the cookie came from a page that is not ours.
    """
    deps, scope = get_dependencies(request), request.scope
    accounts = get_services(request).accounts
    secret = None if has_key(scope) else accounts.cookie.read(scope)
    if secret is None:
        key = await authenticate(deps, scope)
    else:
        require_known_host(deps.public_url, scope)
        require_own_page(deps.public_url, scope, takes_image=takes_image)
        try:
            key = await accounts.sessions.find(secret)
        except RefusedKey as error:
            deps.refusals.note(scope, error.kind)
            raise
        note_key(scope, key.id)
    return Caller(key, client_address(scope))
