"""Routes as rows of a table, and their description in OpenAPI."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette import routing
from starlette.types import Scope

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


class Route(routing.Route):
    """A route whose handler gets the request itself: no injection and no validation.

    It also matches with a trailing slash, because clients that send one do not follow redirects, unless `is_exact`. A
    GET route also takes HEAD, which monitors send.
    """

    endpoint: Handler

    def __init__(
        self, method: str, path: str, handler: Handler, operation: Operation | None = None, *, is_exact: bool = False
    ) -> None:
        super().__init__(path, handler, methods=[method], include_in_schema=False)
        self.method = method
        self.operation = operation
        slash = "" if is_exact or path.endswith("/") else "/?"
        # `$` would match before a newline at the end, and the list would answer for the request "\n".
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + slash + r"\Z")

    def matches(self, scope: Scope) -> tuple[routing.Match, Scope]:
        match, child_scope = super().matches(scope)
        return match, {**child_scope, "route": self}  # for the access log


def described(route: Route, path: str, operation: Operation, extra: dict[str, Any]) -> APIRoute:
    """What FastAPI describes in OpenAPI, with `extra`. It serves no request."""
    return APIRoute(
        path,
        route.endpoint,
        methods=[route.method],
        status_code=None if operation.status_code == 200 else operation.status_code,
        summary=operation.summary,
        description=operation.description,
        responses=operation.responses,
        openapi_extra=extra,
    )
