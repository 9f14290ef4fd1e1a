"""Fast path to the two busy routes: submit, and the status that each of fal's clients polls ten times a second.

A router tries one pattern after the other and wraps each handler for dependency injection, which costs as much as the
handler itself. Every other request goes to the router, which has these two routes as well.
"""

from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelet.api.error_handlers import to_response
from pipelet.api.routing import Handler, Route
from pipelet.domain.errors import PipeletError


class FastPath:
    """A middleware between the one that handles crashes and the router.

    Args:
        submits: by path.
        status: the route under an app.
        status_of_id: the route under an id of fal's.
    """

    def __init__(self, app: ASGIApp, *, submits: Mapping[str, Handler], status: Route, status_of_id: Route) -> None:
        self._app = app
        self._submits = submits
        self._status = status
        self._status_of_id = status_of_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._handler(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await handler(request)
        except (PipeletError, ClientDisconnect) as error:
            response = await to_response(request, error)
        await response(scope, receive, send)

    def _handler(self, scope: Scope) -> Handler | None:
        path: str = scope["path"]
        if scope["method"] == "POST":
            return self._submits.get(path)
        if scope["method"] != "GET" or not path.endswith("/status"):
            return None
        match path.split("/"):
            case ["", "fal", "queue", app, "requests", request_id, "status"] if app and request_id:
                scope["path_params"] = {"app": app, "request_id": request_id}
                scope["route"] = self._status  # for the access log
                return self._status.endpoint
            case ["", "fal", owner, name, "requests", request_id, "status"] if owner and name and request_id:
                scope["path_params"] = {"called": f"{owner}/{name}", "request_id": request_id}
                scope["route"] = self._status_of_id
                return self._status_of_id.endpoint
        return None
