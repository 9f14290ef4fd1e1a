"""A route of OpenAI's API: its caller is known before its handler runs, and all its errors are in OpenAI's envelope."""

from fastapi import Request

from pipelet.api import routing
from pipelet.api.auth import authenticate_to_generate
from pipelet.api.dependencies import get_dependencies
from pipelet.api.openai.errors import error_response
from pipelet.api.request_urls import client_address
from pipelet.api.results.endpoints import Handler, endpoint
from pipelet.api.routing import Operation
from pipelet.services.accounts.access import Caller


class Route(routing.Route):
    def __init__(self, method: str, path: str, handler: Handler, operation: Operation | None = None) -> None:
        super().__init__(method, path, endpoint(handler, _find_caller, error_response), operation)


async def _find_caller(request: Request) -> Caller:
    """
    Raises:
        AuthenticationError: no valid key; the message says how to fix it.
        MissingScope: the key may not generate.
    """
    key = await authenticate_to_generate(get_dependencies(request), request.scope)
    return Caller(key, client_address(request.scope))
