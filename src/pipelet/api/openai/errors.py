"""Errors in OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}`.

Its clients show the message, and decide by the status and `x-should-retry` whether to retry.
"""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import Response

from pipelet.api.error_handlers import DescribedError
from pipelet.api.errors import STATUS_HEADERS, ErrorDetail, json_response

_MAX_FAULTS = 5
_STATUSES = {422: 400}
"""Statuses that are another one in OpenAI's API."""
_RETRIED = frozenset({429, 503})
_TYPES = {429: "rate_limit_error", 499: "request_cancelled"}
_CODES: Mapping[int, str] = {
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    429: "rate_limit_exceeded",
    500: "internal_server_error",
    503: "service_unavailable",
}
"""Codes where no finer one is known."""
_FAULT_CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "string_too_long": "string_above_max_length",
    "greater_than": "decimal_below_min_value",
    "greater_than_equal": "integer_below_min_value",
    "less_than_equal": "integer_above_max_value",
    "value_error": "invalid_value",
    "enum": "invalid_value",
}
"""OpenAI's codes for types of faults; others keep their own."""


def error_response(found: DescribedError) -> Response:
    status = _STATUSES.get(found.status, found.status)
    headers = {**STATUS_HEADERS.get(status, {}), **found.headers}
    headers["x-should-retry"] = "true" if status in _RETRIED else "false"
    return json_response(status, error_document(found), headers)


def error_document(found: DescribedError) -> dict[str, Any]:
    status = _STATUSES.get(found.status, found.status)
    message, param, code = found.message, None, found.error_type or _CODES.get(status)
    if isinstance(found.detail, list):
        first = found.detail[0]
        message = " ".join(_sentence(fault) for fault in found.detail[:_MAX_FAULTS])
        param, code = _param(first), _FAULT_CODES.get(first["type"], first["type"])
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _param(fault: ErrorDetail) -> str | None:
    """The field: the second part of the path of a fault in the body."""
    where = fault["loc"]
    return str(where[1]) if len(where) > 1 and where[0] == "body" else None


def _sentence(fault: ErrorDetail) -> str:
    name, *number = fault["loc"][1:] or [""]
    where = f"{name}[{number[0]}]" if number else name
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])
