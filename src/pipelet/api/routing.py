"""Routes as rows of a table, and their matching: with and without a trailing slash, HEAD like GET."""

import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """What OpenAPI says about a route."""

    summary: str
    description: str
    """Without it, FastAPI would publish the handler's docstring."""
    responses: dict[int | str, dict[str, Any]]
    parameters: tuple[dict[str, Any], ...] = ()
    """Other parameters than those in the path."""
    status_code: int = 200


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler
    operation: Operation | None = None
    """None: the route is not documented."""
    is_exact: bool = False
    """Whether a trailing slash makes another path."""


class RawRoute(APIRoute):
    """Documented like any route, but its handler gets the request itself: no injection and no validation.

    It also matches with a trailing slash, because clients that send one do not follow redirects, and a GET route also
    takes HEAD, which monitors send.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], *, is_exact: bool = False, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if not (is_exact or path.endswith("/")):
            self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + "/?$")

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        if match is Match.PARTIAL and self._is_head(scope):
            return Match.FULL, child_scope
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_head(scope):
            await self.app(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def _is_head(self, scope: Scope) -> bool:
        return scope["method"] == "HEAD" and "GET" in (self.methods or ())


def add_routes(app: FastAPI, routes: Iterable[Route]) -> None:
    """Add routes that are not documented."""
    for route in routes:
        app.router.routes.append(
            RawRoute(
                route.path, route.handler, methods=[route.method], is_exact=route.is_exact, include_in_schema=False
            )
        )
