"""Reads the body of a request: a JSON object under any content type, or a file.

The content type is ignored, because `curl -d` labels everything as a form. The size limit holds while the body arrives.
"""

import asyncio
import json
import re
from collections.abc import Callable, Sized
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from pipelet.api.errors import Problem, error_detail, name_of, validation_problem
from pipelet.concurrency.fair_semaphore import FairSemaphore

_Parsed = TypeVar("_Parsed")

_SMALL = 1024 * 1024
"""Bytes, some milliseconds of parsing. Larger bodies, with images inside, are parsed in a thread."""
_LARGE_BYTES = 256 * 1024 * 1024
"""Bytes of all larger bodies in this process. A body that is being parsed is in memory three times."""
_LARGE_BYTES_PER_USER = _LARGE_BYTES // 2
_FORM = re.compile(r"[A-Za-z_]{1,64}=")
_MAX_VALUES = 100_000
"""Maximum brackets, braces and commas of a larger body, which should be large because of its texts. Each may become a
list of 60 bytes, and the parser blocks all other threads."""
_MAX_DEPTH = 200
"""Maximum depth of lists and objects in each other. What reads a body later has less of the stack than the parser, and
Pydantic gives up at 255."""


@dataclass(kw_only=True)
class BodyReader:
    """Reads bodies, and bounds the memory of the large ones in this process."""

    read_timeout: float = 60.0
    """Seconds for reading a body."""
    memory_timeout: float = 10.0
    """Seconds for which a large body waits until others are done."""
    large_bytes: int = _LARGE_BYTES
    per_user: int = _LARGE_BYTES_PER_USER

    def __post_init__(self) -> None:
        self._large = FairSemaphore(self.large_bytes, self.per_user)

    async def read_json(self, request: Request, stack: AsyncExitStack, *, user: str, max_bytes: int) -> dict[str, Any]:
        """The object in the body; an empty body is an empty object, as fal's clients mean it.

        The memory of a large body stays reserved until `stack` is closed.

        Raises:
            Problem: 413 beyond `max_bytes`; 400 for a body that is not JSON, cannot be read safely or does not arrive;
                422 for any other value; 503 if other large bodies take all memory.
        """
        body = await self._read(request, stack, user, max_bytes)
        if body[:2] == b"--" and b"form-data" in body[:512]:
            raise _unreadable(
                "The body is multipart/form-data. Send a JSON object; an image goes inside it as a URL or a data: URI."
            )
        return parse_object(body) if len(body) <= _SMALL else await asyncio.to_thread(_parse_large, body)

    async def read_bytes(self, request: Request, stack: AsyncExitStack, *, user: str, max_bytes: int) -> bytes:
        """The body as it is. Memory and errors are those of `read_json`, without those of JSON."""
        return await self._read(request, stack, user, max_bytes)

    async def _read(self, request: Request, stack: AsyncExitStack, user: str, max_bytes: int) -> bytes:
        # From the raw headers: Starlette's mapping of them costs more than parsing a small body.
        text = next((value for name, value in request.scope["headers"] if name == b"content-length"), b"")
        announced = int(text[:18]) if text.isascii() and text.isdigit() else 0
        if announced > max_bytes:
            raise _too_large(max_bytes)
        body, more = bytearray(), True
        if announced <= _SMALL:
            # Most bodies arrive together with their head; a timeout would cost as much as reading them.
            more = await _receive(request, body, max_bytes)
            if not more and len(body) <= _SMALL:
                return bytes(body)
        try:
            async with asyncio.timeout(self.read_timeout):
                # Memory is reserved before a large body is read from the socket.
                room = await self._reserve_memory(stack, user, announced) if announced > _SMALL else _SMALL
                while more or len(body) > room:
                    if len(body) > room:
                        room = await self._reserve_memory(stack, user, max_bytes)
                    if more:
                        more = await _receive(request, body, max_bytes)
                return bytes(body)
        except TimeoutError as error:
            message = f"The body did not arrive within {self.read_timeout:g} seconds. Send it faster, or a smaller one."
            raise Problem(400, message, error_type="body_timeout") from error

    async def _reserve_memory(self, stack: AsyncExitStack, user: str, size: int) -> int:
        try:
            async with asyncio.timeout(self.memory_timeout):
                await stack.enter_async_context(self._large.acquire(user, size))
        except TimeoutError as error:
            message = "Too many large bodies are being read. Try again in a few seconds."
            raise Problem(503, message, error_type="service_unavailable") from error
        return size


async def in_thread_if_large(body: Sized, parse: Callable[[], _Parsed]) -> _Parsed:
    """Return what `parse` returns. It runs in a thread if `body`, which it parses, would block the event loop."""
    return parse() if len(body) <= _SMALL else await asyncio.to_thread(parse)


async def _receive(request: Request, body: bytearray, max_bytes: int) -> bool:
    """Append the next chunk to `body`; returns False after the last."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body += message.get("body", b"")
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return bool(message.get("more_body", False))


def _parse_large(body: bytes) -> dict[str, Any]:
    values = 0
    for begin in range(0, len(body), _SMALL):  # in steps, because each blocks other threads
        values += sum(body.count(each, begin, begin + _SMALL) for each in (b"[", b"{", b","))
        if values > _MAX_VALUES:
            raise _unreadable(
                f"The body has more than {_MAX_VALUES} brackets, braces and commas. One of more than "
                f"{_SMALL // 1024**2} MiB may have long texts inside, such as data: URIs, but not so many values."
            )
    return parse_object(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body; see `BodyReader.read_json`."""
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
    if text.count("[") + text.count("{") > _MAX_DEPTH and _is_deep(value):
        raise _unreadable("The body is nested too deeply.")
    if not isinstance(value, dict):
        detail = f'The body must be a JSON object such as {{"prompt": "…"}}; this is {name_of(value)}.'
        raise validation_problem(error_detail(["body"], detail, "dict_type"))
    return value


def _is_deep(value: Any) -> bool:
    """Whether it is nested deeper than `_MAX_DEPTH`."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        within = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [inner for values in within for inner in values]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> None:
    raise _unreadable(f"The body is not valid JSON: {name} is not a JSON value.")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        # Parsers disagree about which of the two counts.
        raise _unreadable("The body gives a field twice.")
    return fields


_decode = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates).decode


def _unreadable(detail: str) -> Problem:
    return Problem(400, detail, error_type="bad_request")


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, f"The body is larger than the {max_bytes} bytes allowed here.", error_type="file_too_large")
