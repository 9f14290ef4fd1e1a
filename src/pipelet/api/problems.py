"""Every error a caller can see: one shape for all bodies, and one table from domain errors to statuses.

A body always has `detail`, a text or a list of faults, and `message`, one line: fal's Python client shows the first and
its JavaScript client the second.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pipelet.api import near_misses
from pipelet.api.addresses import client_address, local_path
from pipelet.api.json_values import echo
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain import errors

log = structlog.get_logger()

STATUSES: Mapping[type[errors.PipeletError], int] = {
    errors.KeyMissing: 401,
    errors.KeyMalformed: 401,
    errors.KeyRefused: 401,
    errors.NotFound: 404,
    errors.ReferencesGone: 503,
    errors.LimitReached: 429,
    errors.TooManyLookups: 503,
    errors.Unusable: 503,
}
"""An error without an entry takes that of its nearest ancestor; without any it is a bug."""

_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": "5"},
    503: {"Retry-After": "5"},
}


_SOONEST, _LATEST = 1, 60
"""Seconds."""

_ERROR_TYPES: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    503: "service_unavailable",
}
"""In the header alone, where nothing finer is known."""
_NEEDS_RETRY = frozenset({429, 503})
"""fal's clients go by the status alone; `X-Fal-Needs-Retry` is for others."""


Fault = dict[str, Any]
"""One thing that is wrong with what was sent, as `schemas.Fault` describes it."""


class Problem(errors.PipeletError):
    """A refusal that only HTTP knows. `detail` is a text, or a list of faults."""

    def __init__(
        self,
        status: int,
        detail: str | list[Fault],
        *,
        message: str | None = None,
        error_type: str | None = None,
    ) -> None:
        super().__init__(message or str(detail))
        self.status = status
        self.detail = detail
        self.error_type = error_type


def fault(
    loc: Sequence[str | int],
    message: str,
    kind: str = "value_error",
    *,
    sent: object = None,
    context: Mapping[str, Any] | None = None,
) -> Fault:
    """`loc` leads to it from `body`, `query` or `header`; `context` are its figures. `sent` is shown short and safe."""
    found = {"loc": list(loc), "msg": message, "type": kind, "input": echo(sent)}
    return found | {"ctx": context} if context else found


def bad_input(*faults: Fault) -> Problem:
    """422, and everything that is wrong at once."""
    return Problem(422, list(faults), message=_one_line(faults))


def _one_line(faults: Sequence[Fault]) -> str:
    first = faults[0]
    where = "" if first["type"] == "extra_forbidden" else ".".join(map(str, first["loc"][1:]))
    more = f" ({len(faults) - 1} more in `detail`)" if len(faults) > 1 else ""
    return " ".join(f"{where and f'{where}: '}{first['msg']}{more}".split())


def json_response(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(as_json(body), status, headers, "application/json")


def as_json(body: Mapping[str, Any]) -> bytes:
    """One line, escaped to ASCII, because fal's JavaScript client decodes each network chunk on its own."""
    # The standard library makes an encoder for every answer, which costs more than the encoding.
    return to_json(body, ensure_ascii=True, inf_nan_mode="null")


def problem_response(
    status: int,
    detail: str | list[Fault],
    *,
    message: str | None = None,
    error_type: str | None = None,
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`more` are fields that come before the common ones."""
    body = {**(more or {}), "detail": detail, "message": message or str(detail)}
    headers = {**_HEADERS.get(status, {}), **(headers or {})}
    headers.setdefault("X-Fal-Needs-Retry", "1" if status in _NEEDS_RETRY else "0")
    if error_type is not None:
        body["error_type"] = error_type
    kind = error_type or (str(detail[0]["type"]) if isinstance(detail, list) else _ERROR_TYPES.get(status))
    if kind is not None:
        headers["X-Fal-Error-Type"] = kind
    return json_response(status, body, headers)


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(errors.PipeletError, answer)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, answer)


async def answer(request: Request, error: Exception) -> Response:
    """To what a handler refuses; whatever has no answer is raised again, because it is a bug."""
    if isinstance(error, ClientDisconnect):
        # Whoever hung up in the middle of a body reads no answer; it is no fault of ours, so no error is logged.
        return problem_response(400, "The body broke off.", error_type="client_disconnected")
    if isinstance(error, Problem):
        return problem_response(error.status, error.detail, message=str(error), error_type=error.error_type)
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)
    if status is None:
        raise error
    if isinstance(error, errors.Unusable):
        # The reason names files and servers: it is for the operator, who finds it in the log.
        throttle: LogThrottle = request.scope["app"].state.parts.throttle
        scope = request.scope
        client = client_address(scope)
        throttle.write(log.error, "request.unservable", path=scope["path"], client=client, reason=str(error))
        return problem_response(status, "The service cannot do this right now. Try again in a few seconds.")
    if isinstance(error, errors.LimitReached):
        error_type = "queue_too_long" if isinstance(error, errors.QueueTooLong) else "queued_images_limit"
        return problem_response(status, str(error), error_type=error_type, headers=_again_in(error.again_in))
    more = {"status": "NOT_FOUND"} if status == 404 else None
    return problem_response(status, str(error), more=more)


def _again_in(seconds: float | None) -> dict[str, str]:
    """`Retry-After`, within bounds: whoever waits longer than need be loses more than one who asks once too often."""
    if seconds is None:
        return {}
    return {"Retry-After": str(math.ceil(min(max(seconds, _SOONEST), _LATEST)))}


async def _on_http_error(request: Request, error: Exception) -> Response:
    """What the router itself refuses: a path or a method that is not there."""
    if not isinstance(error, HTTPException):
        raise error
    routes = f"The routes are described at {local_path(request.app.state.parts.public_url, '/docs')}."
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    apps = request.app.state.parts.input_models
    allowed = (error.headers or {}).get("Allow", "")
    details = {
        404: f"{near_misses.of_path(path, apps)} {routes}",
        405: f"{near_misses.of_method(request.scope['method'], path, allowed, apps)} {routes}",
    }
    more = {"status": "NOT_FOUND"} if error.status_code == 404 else None
    detail = details.get(error.status_code, error.detail)
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":  # the router's word; HEAD has a route of its own
        headers["Allow"] = "GET, HEAD"
    return problem_response(error.status_code, detail, more=more, headers=headers)


async def on_bug(request: Request, error: Exception) -> Response:
    log.error(
        "request.crashed",
        method=request.scope["method"],
        path=request.scope["path"],
        client=client_address(request.scope),
        request_id=request.scope.get("path_params", {}).get("request_id"),
        exc_info=error,
    )
    message = "Something went wrong on our side. The operator finds the cause in the service's log."
    return problem_response(500, "Internal Server Error", message=message, error_type="internal_server_error")
