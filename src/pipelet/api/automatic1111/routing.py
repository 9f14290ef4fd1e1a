"""A route of AUTOMATIC1111's API: its caller is known before its handler runs, and its errors have that API's shape."""

from pipelet.api import routing
from pipelet.api.automatic1111.auth import find_caller
from pipelet.api.automatic1111.errors import error_response
from pipelet.api.results.endpoints import Handler, endpoint
from pipelet.api.routing import Operation


class Route(routing.Route):
    def __init__(self, method: str, path: str, handler: Handler, operation: Operation | None = None) -> None:
        super().__init__(method, path, endpoint(handler, find_caller, error_response), operation)
