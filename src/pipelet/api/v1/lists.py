"""Lists: pages of items and their cursors.

A cursor is the place of the last item of a page. It is opaque, but not secret: every page is filtered for its caller
again, so a forged cursor, or that of another user, shows nothing that the list itself does not.
"""

import base64
import binascii
import json
import math
from collections.abc import Sequence
from typing import Any

from fastapi.responses import Response

from pipelet.api.errors import error_detail, json_response, validation_problem

Place = tuple[str | int | float, ...]
_INTEGERS = range(-(2**63), 2**63)
_MAX_CHARS = 256


def list_response(items: Sequence[dict[str, Any]], after: str | None) -> Response:
    """`after` is the cursor of the following page; None for the last."""
    return json_response(200, {"items": items, "next": after})


def encode_cursor(name: str, *place: str | int | float) -> str:
    """`name` is that of the list: the cursor of another one is refused."""
    return base64.urlsafe_b64encode(json.dumps([name, *place]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, name: str, *kinds: type[str] | type[int] | type[float]) -> Any:
    """The place that a cursor stands for, a tuple of values of these kinds; None without a cursor.

    Raises:
        Problem: 422; it is not a cursor of this list.
    """
    if cursor is None:
        return None
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if isinstance(found, list) and found[:1] == [name] and len(found) == 1 + len(kinds):
        place = found[1:]
        if all(type(value) is kind and _is_storable(value) for value, kind in zip(place, kinds, strict=True)):
            return tuple(place)
    message = "This is not a cursor of this list. Send the `next` of a page as it is, or leave it out to begin."
    raise validation_problem(error_detail(["query", "after"], message, "invalid_cursor", sent=cursor))


def _is_storable(value: object) -> bool:
    match value:
        case str():
            return len(value) <= _MAX_CHARS and value.isascii() and value.isprintable()
        case int():
            return value in _INTEGERS
        case float():
            return math.isfinite(value)
    return False
