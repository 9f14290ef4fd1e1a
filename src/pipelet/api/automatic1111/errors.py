"""Errors as AUTOMATIC1111's API sends them: `{"error", "detail", "body", "errors"}`; clients show one or the other."""

from fastapi.responses import Response

from pipelet.api.error_handlers import DescribedError
from pipelet.api.errors import STATUS_HEADERS, ErrorDetail, json_response

_MAX_FAULTS = 5


def error_response(found: DescribedError) -> Response:
    message = found.message
    if isinstance(found.detail, list):
        message = " ".join(map(_sentence, found.detail[:_MAX_FAULTS]))
    body = {"error": found.error_type or "HTTPException", "detail": message, "body": "", "errors": message}
    return json_response(found.status, body, {**STATUS_HEADERS.get(found.status, {}), **found.headers})


def _sentence(fault: ErrorDetail) -> str:
    """The path of a fault begins with `body`."""
    field = ".".join(map(str, fault["loc"][1:]))
    return f"{field}: {fault['msg']}" if field else str(fault["msg"])
