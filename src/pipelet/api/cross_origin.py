"""Calls from pages of other origins (CORS). Keys protect the service, no cookie does: any page with a key may call."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_EXPOSED = ("x-fal-request-id", "x-fal-error-type", "x-fal-request-timeout-type", "x-fal-needs-retry", "retry-after")
_FILES = "/files/"


class CrossOrigin:
    """Starlette's middleware, kept away from what needs no key, such as metrics, and from whoever is no browser.

    It wraps the sending of every answer, which a client that polls ten times a second would pay for and not use. Files
    pass through it always: browsers keep them, and then have to know that another origin may get another answer.
    """

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        self._app = app
        self._cross_origin = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "OPTIONS"],
            allow_headers=["*"],  # whatever is asked for is allowed: a pattern, as for x-fal-*, cannot be said
            expose_headers=_EXPOSED,
            allow_private_network=True,
            max_age=7200,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._cross_origin if _concerned(scope) else self._app)(scope, receive, send)


def _concerned(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    if path.startswith(_FILES):
        return True
    return path.startswith("/fal/") and any(name == b"origin" for name, _ in scope["headers"])
