"""A route of OpenAI's API: its caller is known before its handler runs, and all its errors are in OpenAI's envelope."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from pipelet.api import routing
from pipelet.api.auth import authenticate
from pipelet.api.dependencies import get_dependencies
from pipelet.api.error_handlers import describe_error, on_unhandled_error
from pipelet.api.openai.errors import error_response
from pipelet.api.request_urls import client_address
from pipelet.api.results.waiting import INTERNAL_ERROR
from pipelet.api.routing import Operation
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import PipeletError
from pipelet.services.accounts.access import Caller

Handler = Callable[[Request, Caller], Awaitable[Response]]


class Route(routing.Route):
    def __init__(self, method: str, path: str, handler: Handler, operation: Operation | None = None) -> None:
        async def respond(request: Request) -> Response:
            try:
                return await handler(request, await _find_caller(request))
            except (PipeletError, ClientDisconnect) as error:
                return error_response(describe_error(request, error))
            except Exception as error:  # noqa: BLE001 - the handler of crashes has another shape for its response
                await on_unhandled_error(request, error)
                return error_response(INTERNAL_ERROR)

        super().__init__(method, path, respond, operation)


async def _find_caller(request: Request) -> Caller:
    """
    Raises:
        AuthenticationError: no valid key; the message says how to fix it.
        MissingScope: the key may not generate.
    """
    caller = Caller(await authenticate(get_dependencies(request), request.scope), client_address(request.scope))
    caller.require(Scope.GENERATE)
    return caller
