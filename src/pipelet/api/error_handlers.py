"""From exceptions to responses: one table from domain errors to statuses."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pipelet.api import suggestions
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import ErrorDetail, Problem, problem_response
from pipelet.api.request_urls import client_address, local_path
from pipelet.domain import errors

log = structlog.get_logger()

STATUSES: Mapping[type[errors.PipeletError], int] = {
    errors.AuthenticationError: 401,
    errors.MissingScope: 403,
    errors.NotFound: 404,
    errors.NotPossible: 409,
    errors.InputImagesExpired: 503,
    errors.QuotaExceeded: 429,
    errors.StorageLimitExceeded: 403,  # fal's and OpenAI's clients would retry a 429
    errors.UploadLimitExceeded: 403,
    errors.TooBusy: 503,
    errors.OperationalError: 503,
}
"""An error without an entry has the status of its nearest ancestor; without any, it is a bug."""

_LIMIT_TYPES: Mapping[type[errors.QuotaExceeded], str] = {
    errors.QuotaExceeded: "queued_images_limit",
    errors.QueueFull: "queue_too_long",
    errors.SubmitRateExceeded: "submit_rate_limit",
    errors.StorageLimitExceeded: "storage_limit",
    errors.UploadLimitExceeded: "upload_limit",
}

_MIN_RETRY_AFTER, _MAX_RETRY_AFTER = 1, 60
"""Seconds."""


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(errors.PipeletError, to_response)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, to_response)


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedError:
    """An expected error, before an API puts it into a shape of its own."""

    status: int
    detail: str | list[ErrorDetail]
    message: str
    error_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] | None = None
    """Fields that come before the common ones."""

    @classmethod
    def of(cls, status: int, text: str, **more: Any) -> Self:
        """An error whose detail and message are the same text."""
        return cls(status=status, detail=text, message=text, **more)


INTERNAL_ERROR = DescribedError.of(
    500, "Internal error. The cause is in the server log.", error_type="internal_server_error"
)


async def to_response(request: Request, error: Exception) -> Response:
    """The response to an expected error. Other errors are bugs, and raised again."""
    found = describe_error(request, error)
    return problem_response(
        found.status,
        found.detail,
        message=found.message,
        error_type=found.error_type,
        extra=found.extra,
        headers=found.headers,
    )


def describe_error(request: Request, error: Exception) -> DescribedError:
    """Describe an expected error, and log one of operation. Other errors are bugs, and raised again."""
    if isinstance(error, ClientDisconnect):
        # The client is gone and reads no response; it is not an error of this service, so none is logged.
        return DescribedError.of(400, "The body is incomplete.", error_type="client_disconnected")
    if isinstance(error, Problem):
        return DescribedError(status=error.status, detail=error.detail, message=str(error), error_type=error.error_type)
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)
    if status is None:
        raise error
    if isinstance(error, errors.OperationalError):
        # The reason names files and servers: it is for the operator, in the log.
        path, client = request.scope["path"], client_address(request.scope)
        throttle = get_dependencies(request).throttle
        throttle.write(log.error, "request.unavailable", path=path, client=client, reason=str(error))
        return DescribedError.of(status, "The service cannot do this right now. Try again in a few seconds.")
    if isinstance(error, errors.QuotaExceeded):
        limit = _LIMIT_TYPES[type(error)]
        return DescribedError.of(status, str(error), error_type=limit, headers=_retry_after(error.retry_after))
    error_type = "missing_scope" if isinstance(error, errors.MissingScope) else None
    return DescribedError.of(status, str(error), error_type=error_type, extra=_extra(status))


def _retry_after(seconds: float | None) -> dict[str, str]:
    """`Retry-After`, within bounds: a client loses more by waiting too long than by one retry too many."""
    if seconds is None:
        return {}
    return {"Retry-After": str(math.ceil(min(max(seconds, _MIN_RETRY_AFTER), _MAX_RETRY_AFTER)))}


async def _on_http_error(request: Request, error: Exception) -> Response:
    """The response to an unknown path or method."""
    if not isinstance(error, HTTPException):
        raise error
    deps = get_dependencies(request)
    routes = f"The routes are described at {local_path(deps.public_url, '/docs')}."
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    apps, fal_ids = deps.catalog.served_apps(), [each.name for each in deps.catalog.served_fal_ids()]
    headers = dict(error.headers or {})
    if "Allow" in headers:  # a route names its methods in any order
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    allowed = headers.get("Allow", "").removesuffix(", HEAD")
    details = {
        404: f"{suggestions.path_hint(path, apps, fal_ids)} {routes}",
        405: f"{suggestions.method_hint(request.scope['method'], path, allowed, apps)} {routes}",
    }
    detail = details.get(error.status_code, error.detail)
    return problem_response(error.status_code, detail, extra=_extra(error.status_code), headers=headers)


def _extra(status: int) -> dict[str, str] | None:
    return {"status": "NOT_FOUND"} if status == 404 else None


async def on_unhandled_error(request: Request, error: Exception) -> Response:
    log.error(
        "request.crashed",
        method=request.scope["method"],
        path=request.scope["path"],
        client=client_address(request.scope),
        exc_info=error,
    )
    return problem_response(
        500, "Internal Server Error", message=INTERNAL_ERROR.message, error_type=INTERNAL_ERROR.error_type
    )
