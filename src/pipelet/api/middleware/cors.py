"""CORS: calls from web pages of other origins. A page needs a key, and no cookie is involved, so any page may call."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_EXPOSED = (
    *("x-fal-request-id", "x-fal-error-type", "x-fal-request-timeout-type", "x-fal-needs-retry", "retry-after"),
    *("x-request-id", "x-should-retry", "x-pipelet-ignored"),
)
_FILES = "/files/"
_APIS = ("/fal/", "/v1/")


class SelectiveCORS:
    """Starlette's middleware, for requests from browsers to routes that need a key.

    It wraps the sending of every response, which a client that polls ten times a second would pay for without use.
    Files always pass through it: browsers cache them, and have to know that another origin may get other headers.
    """

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        self._app = app
        self._cross_origin = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "OPTIONS"],
            allow_headers=["*"],  # CORS has no patterns, such as x-fal-*
            expose_headers=_EXPOSED,
            allow_private_network=True,
            max_age=7200,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._cross_origin if _applies_to(scope) else self._app)(scope, receive, send)


def _applies_to(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    names = (name for name, _ in scope["headers"])
    return path.startswith(_FILES) or (path.startswith(_APIS) and b"origin" in names)
