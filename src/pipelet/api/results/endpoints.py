"""Endpoints of APIs that have a shape of their own for errors."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from pipelet.api.error_handlers import INTERNAL_ERROR, DescribedError, describe_error, on_unhandled_error
from pipelet.domain.errors import PipeletError
from pipelet.services.accounts.access import Caller

Handler = Callable[[Request, Caller], Awaitable[Response]]


def endpoint(
    handler: Handler,
    find_caller: Callable[[Request], Awaitable[Caller]],
    error_response: Callable[[DescribedError], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """Find the caller before `handler` runs, and give every error the shape of its API."""

    async def respond(request: Request) -> Response:
        try:
            return await handler(request, await find_caller(request))
        except (PipeletError, ClientDisconnect) as error:
            return error_response(describe_error(request, error))
        except Exception as error:  # noqa: BLE001 - the handler of crashes has another shape for its response
            await on_unhandled_error(request, error)
            return error_response(INTERNAL_ERROR)

    return respond
