"""Reading a JSON object from a request, whatever it is labelled as.

The label is not looked at, because `curl -d` calls everything a form. The body is read by hand for that, and so that
a limit holds while it arrives.
"""

import asyncio
import json
import re
from contextlib import AsyncExitStack
from typing import Any

from starlette.requests import ClientDisconnect, Request

from pipelet.api.json_values import name_of
from pipelet.api.problems import Problem, bad_input, fault
from pipelet.api.shares import Shares

_SMALL = 1024 * 1024
"""Bytes, some milliseconds of parsing. Larger bodies, with pictures inside, are not parsed where others wait for it."""
_LARGE_BYTES = 256 * 1024 * 1024
"""Of all larger bodies in the hands of this process. While one is parsed, it is there three times."""
_LARGE_BYTES_PER_USER = _LARGE_BYTES // 2
_FORM = re.compile(r"[A-Za-z_]{1,64}=")
_MOST_PARTS = 100_000
"""Brackets, braces and commas of a larger body: what makes it large are texts. Each may be a list of 60 bytes, and the
parser stops all other threads."""


class Bodies:
    """Reads them, and knows how much of them this process holds."""

    def __init__(
        self,
        *,
        seconds: float = 60.0,
        patience: float = 10.0,
        large_bytes: int = _LARGE_BYTES,
        per_user: int = _LARGE_BYTES_PER_USER,
    ) -> None:
        """`seconds` are for reading one; `patience` is how long a large one waits for others."""
        self._seconds = seconds
        self._patience = patience
        self._large = Shares(large_bytes, per_user)

    async def read_object(self, request: Request, held: AsyncExitStack, *, user: str, max_bytes: int) -> dict[str, Any]:
        """The object in the body; an empty body is an empty object, as fal's clients mean it.

        The memory of a large one counts as taken until `held` is closed.

        Raises:
            Problem: 413 past `max_bytes`; 400 for what is not JSON, cannot be read safely, or does not arrive; 422 for
                any other value; 503 where others are in the way.
        """
        body = await self._read(request, held, user, max_bytes)
        if body[:2] == b"--" and b"form-data" in body[:512]:
            raise _unreadable(
                "The body is multipart/form-data. Send a JSON object; an image goes inside it as a URL or a data: URI."
            )
        return parse_object(body) if len(body) <= _SMALL else await asyncio.to_thread(_parse_large, body)

    async def _read(self, request: Request, held: AsyncExitStack, user: str, max_bytes: int) -> bytes:
        # From the raw headers: building Starlette's mapping of them costs more than parsing a small body.
        text = next((value for name, value in request.scope["headers"] if name == b"content-length"), b"")
        announced = int(text[:18]) if text.isascii() and text.isdigit() else 0
        if announced > max_bytes:
            raise _too_large(max_bytes)
        body, more = bytearray(), True
        if announced <= _SMALL:
            # Most come whole with their head: a time limit for those would cost as much as reading them does.
            more = await _receive(request, body, max_bytes)
            if not more and len(body) <= _SMALL:
                return bytes(body)
        try:
            async with asyncio.timeout(self._seconds):
                await self._arriving(request, held, user, body, more, announced, max_bytes)
                return bytes(body)
        except TimeoutError as error:
            message = f"The body did not arrive within {self._seconds:g} seconds. Send it faster, or a smaller one."
            raise Problem(400, message, error_type="body_timeout") from error

    async def _arriving(
        self,
        request: Request,
        held: AsyncExitStack,
        user: str,
        body: bytearray,
        more: bool,
        announced: int,
        max_bytes: int,
    ) -> None:
        room = _SMALL
        if announced > room:
            room = await self._make_room(
                held, user, announced
            )  # before it is read: until then it stays with its sender
        while more or len(body) > room:
            if len(body) > room:
                room = await self._make_room(held, user, max_bytes)
            if more:
                more = await _receive(request, body, max_bytes)

    async def _make_room(self, held: AsyncExitStack, user: str, size: int) -> int:
        try:
            async with asyncio.timeout(self._patience):
                await held.enter_async_context(self._large.hold(user, size))
        except TimeoutError as error:
            message = "Too many large bodies are being read. Try again in a few seconds."
            raise Problem(503, message, error_type="service_unavailable") from error
        return size


async def _receive(request: Request, body: bytearray, max_bytes: int) -> bool:
    """Adds what comes next to `body`; False: it was the last."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body += message.get("body", b"")
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return bool(message.get("more_body", False))


def _parse_large(body: bytes) -> dict[str, Any]:
    parts = 0
    for begin in range(0, len(body), _SMALL):  # in steps, because others stand still meanwhile
        parts += sum(body.count(each, begin, begin + _SMALL) for each in (b"[", b"{", b","))
        if parts > _MOST_PARTS:
            raise _unreadable(
                f"The body has more than {_MOST_PARTS} brackets, braces and commas. One of more than "
                f"{_SMALL // 1024**2} MiB may have long texts inside, such as data: URIs, but not so many values."
            )
    return parse_object(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """See `Bodies.read_object`."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(f"The body is not UTF-8: byte {error.start} does not fit.") from error
    if not text.strip():
        return {}
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        if _FORM.match(text):
            raise _unreadable('The body is a form. Send a JSON object such as {"prompt": "…"}.') from error
        where = f"line {error.lineno}, column {error.colno}"
        raise _unreadable(f"The body is not valid JSON: {error.msg} ({where}).") from error
    except RecursionError as error:
        raise _unreadable("The body is nested too deeply.") from error
    except ValueError as error:
        raise _unreadable("The body holds a number with too many digits.") from error
    if not isinstance(value, dict):
        detail = f'The body must be a JSON object such as {{"prompt": "…"}}; this is {name_of(value)}.'
        raise bad_input(fault(["body"], detail, "dict_type"))
    return value


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
