"""A route of AUTOMATIC1111's API: its caller is known before its handler runs, and its errors have that API's shape."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from pipelet.api import routing
from pipelet.api.automatic1111.auth import find_caller
from pipelet.api.automatic1111.errors import error_response
from pipelet.api.error_handlers import describe_error, on_unhandled_error
from pipelet.api.results.waiting import INTERNAL_ERROR
from pipelet.api.routing import Operation
from pipelet.domain.errors import PipeletError
from pipelet.services.accounts.access import Caller

Handler = Callable[[Request, Caller], Awaitable[Response]]


class Route(routing.Route):
    def __init__(self, method: str, path: str, handler: Handler, operation: Operation | None = None) -> None:
        async def respond(request: Request) -> Response:
            try:
                return await handler(request, await find_caller(request))
            except (PipeletError, ClientDisconnect) as error:
                return error_response(describe_error(request, error))
            except Exception as error:  # noqa: BLE001 - the handler of crashes has another shape for its response
                await on_unhandled_error(request, error)
                return error_response(INTERNAL_ERROR)

        super().__init__(method, path, respond, operation)
