"""Errors on the wire: one shape for all bodies.

A body always has `detail`, a text or a list of errors, and `message`, one line: fal's Python client shows the first and
its JavaScript client the second.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import Response
from pydantic_core import to_json

from pipelet.domain.errors import PipeletError

STATUS_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": "5"},
    503: {"Retry-After": "5"},
}
"""Headers of every error with this status, in every API."""

_ERROR_TYPES: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    503: "service_unavailable",
}
"""Sent in the header only, where no finer error type is known."""
_NEEDS_RETRY = frozenset({429, 503})
"""Statuses with `X-Fal-Needs-Retry: 1`. fal's own clients decide by the status alone."""
_ECHO_CHARS = 200
_MAX_EXACT = 2**53 - 1
"""Parsers that read numbers as floats, such as JavaScript's, change larger ones."""

_TYPE_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "an array",
}

ErrorDetail = dict[str, Any]
"""One error in the input; the OpenAPI document calls its shape `Fault`."""


class Problem(PipeletError):
    """An error that exists in HTTP only. `detail` is a text, or a list of errors."""

    def __init__(
        self,
        status: int,
        detail: str | list[ErrorDetail],
        *,
        message: str | None = None,
        error_type: str | None = None,
    ) -> None:
        super().__init__(message or str(detail))
        self.status = status
        self.detail = detail
        self.error_type = error_type


def error_detail(
    loc: Sequence[str | int],
    message: str,
    kind: str = "value_error",
    *,
    sent: object = None,
    context: Mapping[str, Any] | None = None,
) -> ErrorDetail:
    """
    Args:
        loc: Path to the error from `body`, `query` or `header`.
        sent: The value that was sent; a short, safe form of it is returned to the client.
        context: Figures of the error, such as the limit.
    """
    found = {"loc": list(loc), "msg": message, "type": kind, "input": echo(sent)}
    return found | {"ctx": context} if context else found


def validation_problem(*faults: ErrorDetail) -> Problem:
    """422 with all errors at once."""
    return Problem(422, list(faults), message=_one_line(faults))


def _one_line(faults: Sequence[ErrorDetail]) -> str:
    first = faults[0]
    where = "" if first["type"] == "extra_forbidden" else ".".join(map(str, first["loc"][1:]))
    more = f" ({len(faults) - 1} more in `detail`)" if len(faults) > 1 else ""
    return " ".join(f"{where and f'{where}: '}{first['msg']}{more}".split())


def json_response(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(as_json(body), status, headers, "application/json")


def as_json(body: Mapping[str, Any]) -> bytes:
    """One line, escaped to ASCII, because fal's JavaScript client decodes each network chunk on its own."""
    # The standard library builds an encoder for every call, which costs more than the encoding.
    return to_json(body, ensure_ascii=True, inf_nan_mode="null")


def problem_response(
    status: int,
    detail: str | list[ErrorDetail],
    *,
    message: str | None = None,
    error_type: str | None = None,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`extra` are fields that come before the common ones."""
    body = {**(extra or {}), "detail": detail, "message": message or str(detail)}
    headers = {**STATUS_HEADERS.get(status, {}), **(headers or {})}
    headers.setdefault("X-Fal-Needs-Retry", "1" if status in _NEEDS_RETRY else "0")
    if error_type is not None:
        body["error_type"] = error_type
    kind = error_type or (str(detail[0]["type"]) if isinstance(detail, list) else _ERROR_TYPES.get(status))
    if kind is not None:
        headers["X-Fal-Error-Type"] = kind
    return json_response(status, body, headers)


def name_of(value: object) -> str:
    """JSON's name of its type."""
    return _TYPE_NAMES.get(type(value), "an object")


def echo(value: object) -> str | int | float | bool | None:
    """A short form of a JSON value, safe to send back: without lone surrogates, infinities and inexact numbers."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if abs(value) <= _MAX_EXACT:
            return value
        text = str(value)
    else:
        text = value if isinstance(value, str) else name_of(value)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _ECHO_CHARS else text[: _ECHO_CHARS - 1] + "…"
