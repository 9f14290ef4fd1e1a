"""The image in the body of an upload: the whole body, or the one file of a form."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import multipart
from fastapi import Request

from pipelet.api import suggestions
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import Problem, echo, error_detail, validation_problem
from pipelet.domain.uploads import MAX_BYTES
from pipelet.services.accounts.access import Caller

FIELD = "file"
_FORM = "multipart/form-data"
_MAX_FORM_BYTES = MAX_BYTES + 64 * 1024
_MAX_CONTENT_TYPE_CHARS = 300
_MAX_BOUNDARY_CHARS = 70
"""As in RFC 2046."""
_MAX_HEADERS, _MAX_HEADER_BYTES = 8, 4096
_CHUNK = 64 * 1024
_SMALL = 1024 * 1024
"""Bytes, some milliseconds of parsing. Larger forms are parsed in a thread."""
_NAME_CHARS = 64


@asynccontextmanager
async def sent_image(request: Request, caller: Caller) -> AsyncIterator[bytes]:
    """Yield the file that was sent, whatever it is. The memory of a large one stays reserved until the block ends.

    Raises:
        Problem: 400, 413 or 503, as `BodyReader.read_bytes`; 400 for a form that is damaged or incomplete; 422 for one
            that has not exactly the field `file`.
    """
    bodies, boundary = get_dependencies(request).bodies, _boundary(request)
    async with AsyncExitStack() as stack:
        most = MAX_BYTES if boundary is None else _MAX_FORM_BYTES
        body = await bodies.read_bytes(request, stack, user=caller.user, max_bytes=most)
        if boundary is not None:
            body = await _in_thread_if_large(body, boundary)
        yield body


def _boundary(request: Request) -> str | None:
    """What separates the parts of a form; None if the body is no form."""
    sent = request.headers.get("content-type", "")
    if not sent.lower().startswith("multipart/"):
        return None
    kind, options = multipart.parse_options_header(sent[:_MAX_CONTENT_TYPE_CHARS])
    boundary: str = options.get("boundary", "")
    if kind != _FORM or len(sent) > _MAX_CONTENT_TYPE_CHARS or not 1 <= len(boundary) <= _MAX_BOUNDARY_CHARS:
        raise _unreadable(f"Send `{_FORM}` with a boundary of 1 to {_MAX_BOUNDARY_CHARS} characters")
    return boundary


async def _in_thread_if_large(body: bytes, boundary: str) -> bytes:
    return _file_in(body, boundary) if len(body) <= _SMALL else await asyncio.to_thread(_file_in, body, boundary)


def _file_in(form: bytes, boundary: str) -> bytes:
    """The content of the one part of a form."""
    file, parts = bytearray(), 0
    limits = {"max_header_count": _MAX_HEADERS, "max_header_size": _MAX_HEADER_BYTES}
    try:
        with multipart.PushMultipartParser(boundary, content_length=len(form), **limits) as parser:
            for begin in range(0, len(form), _CHUNK):
                for found in parser.parse(form[begin : begin + _CHUNK]):
                    if isinstance(found, multipart.MultipartSegment):
                        parts += 1
                        _check_part(found.name, parts)
                    elif found:
                        file += found
    except multipart.MultipartError as error:
        raise _unreadable(str(error)) from error
    if not parts:
        raise validation_problem(error_detail(["body", FIELD], "Send one file.", "missing"))
    if len(file) > MAX_BYTES:
        raise Problem(413, f"The file is larger than {MAX_BYTES // 1024**2} MiB.", error_type="file_too_large")
    return bytes(file)


def _check_part(name: str, number: int) -> None:
    """Refuse a part as soon as its head is read, before the others are."""
    if name != FIELD:
        shown = str(echo(name[:_NAME_CHARS]))
        hint = suggestions.name_hint(name[:_NAME_CHARS], [FIELD], what="fields")
        raise validation_problem(error_detail(["body", shown], f"Unknown field '{shown}'. {hint}", "extra_forbidden"))
    if number > 1:
        raise validation_problem(error_detail(["body", FIELD], "Send one file: upload others on their own."))


def _unreadable(reason: str) -> Problem:
    return Problem(400, f"The form cannot be read: {reason.rstrip('.')}.", error_type="bad_request")
