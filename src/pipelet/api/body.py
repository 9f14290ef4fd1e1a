"""Reading a JSON object from a request, whatever it is labelled as.

The label is not looked at, because `curl -d` calls everything a form. The body is read by hand for that, and so that
a limit holds while it arrives.
"""

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from pipelet.api.problems import Problem

_SMALL = 1024 * 1024
"""Bytes, some milliseconds of parsing. Larger bodies, with pictures inside, are not parsed where others wait for it."""


async def read_object(request: Request, *, max_bytes: int) -> dict[str, Any]:
    """The object in the body; an empty body is an empty object, as fal's clients mean it.

    Raises:
        Problem: 413 past `max_bytes`; 400 for what is not JSON, or cannot be read safely; 422 for any other value.
    """
    body = await _read(request, max_bytes)
    return parse_object(body) if len(body) <= _SMALL else await asyncio.to_thread(parse_object, body)


async def _read(request: Request, max_bytes: int) -> bytes:
    # From the raw headers: building Starlette's mapping of them costs more than parsing a small body.
    announced = next((value for name, value in request.scope["headers"] if name == b"content-length"), b"")
    if announced.isascii() and announced.isdigit() and (len(announced) > 18 or int(announced) > max_bytes):
        raise _too_large(max_bytes)
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """See `read_object`."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(f"The body is not UTF-8: byte {error.start} does not fit.") from error
    if not text.strip():
        return {}
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _unreadable(f"The body is not valid JSON: {error.msg} ({where}).") from error
    except RecursionError as error:
        raise _unreadable("The body is nested too deeply.") from error
    except ValueError as error:
        raise _unreadable("The body holds a number with too many digits.") from error
    if not isinstance(value, dict):
        detail = f'The body must be a JSON object such as {{"prompt": "…"}}; this is {name_of(value)}.'
        fault = {"loc": ["body"], "msg": detail, "type": "dict_type", "input": None}
        raise Problem(422, [fault], message=detail)
    return value


def name_of(value: object) -> str:
    """What JSON calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "an array"
        case _:
            return "an object"


def _refuse_constant(name: str) -> None:
    raise _unreadable(f"The body is not valid JSON: {name} is not a JSON value.")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        # Which of the two is meant is not ours to guess: parsers disagree about it.
        raise _unreadable("The body gives a field twice.")
    return fields


_decode = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates).decode


def _unreadable(detail: str) -> Problem:
    return Problem(400, detail, error_type="bad_request")


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, f"The body is larger than the {max_bytes} bytes allowed here.", error_type="file_too_large")
