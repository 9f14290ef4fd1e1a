"""Access log: one line for each HTTP request."""

import time
from collections.abc import Mapping
from typing import Literal

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

AccessLogLevel = Literal["off", "writes", "requests", "all"]
"""`writes`: POST, PUT and DELETE; `requests`: all but polls; `all`: polls, too."""

_ENTRY = "pipelet.access_log"
_POLLS = tuple(
    f"{path}{slash}"
    for path in ("/status", "/status/stream", "/health/live", "/health/ready", "/metrics")
    for slash in ("", "/")
)
"""Ends of the paths that clients and monitors poll."""
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_MAX_PATH_CHARS = 200
"""Characters of the path that are logged where no route matches."""


class AccessLog:
    """Around all other middleware, so that it sees the final status.

    It also clears the log context, to which handlers bind the id of their request. Polls skip all of it.
    """

    def __init__(self, app: ASGIApp, *, level: AccessLogLevel) -> None:
        self._app = app
        self._level = level

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._applies_to(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        structlog.contextvars.clear_contextvars()
        entry = scope[_ENTRY] = {"status": None, "key": None}

        async def send_noting_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            if scope[_ENTRY] is not None:
                self._write(scope, entry, time.perf_counter() - started)

    def _write(self, scope: Scope, entry: Mapping[str, object], seconds: float) -> None:
        log.info(
            "http.request",
            method=scope["method"],
            route=getattr(scope.get("route"), "path", None) or scope["path"][:_MAX_PATH_CHARS],
            ms=round(1000 * seconds, 1),
            **entry,
        )

    def _applies_to(self, method: str, path: str) -> bool:
        if self._level == "writes":
            return method in _WRITES
        return self._level == "all" or not path.endswith(_POLLS)


def leave_to_inner_request(scope: Scope) -> None:
    """Write no line for a request that is passed on to another route, which has a line of its own."""
    scope[_ENTRY] = None


def note_key(scope: Scope, key_id: str) -> None:
    """Name the key of a request in its line."""
    entry = scope.get(_ENTRY)
    if entry is not None:
        entry["key"] = key_id
