"""Forms, `multipart/form-data`, within bounds: a form is read whole into memory that is reserved for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import multipart
from fastapi import Request

from pipelet.api.errors import Problem

_FORM = "multipart/form-data"
_MAX_CONTENT_TYPE_CHARS = 300
_MAX_BOUNDARY_CHARS = 70
"""As in RFC 2046."""
_MAX_HEADERS, _MAX_HEADER_BYTES = 8, 4096
_CHUNK = 64 * 1024


@dataclass(slots=True)
class Part:
    """One part of a form."""

    name: str
    is_file: bool
    """Whether it has a file name."""
    content: bytearray


def form_boundary(request: Request) -> str | None:
    """Return what separates the parts of a form; None if the body is no form.

    Raises:
        Problem: 400 for a form that cannot be read.
    """
    sent = request.headers.get("content-type", "")
    if not sent.lower().startswith("multipart/"):
        return None
    kind, options = multipart.parse_options_header(sent[:_MAX_CONTENT_TYPE_CHARS])
    boundary: str = options.get("boundary", "")
    if kind != _FORM or len(sent) > _MAX_CONTENT_TYPE_CHARS or not 1 <= len(boundary) <= _MAX_BOUNDARY_CHARS:
        raise _unreadable(f"Send `{_FORM}` with a boundary of 1 to {_MAX_BOUNDARY_CHARS} characters")
    return boundary


def parse_form(form: bytes, boundary: str, check: Callable[[str, int], None]) -> Iterator[Part]:
    """Yield each part when it is complete.

    Args:
        check: called with the name and the number of a part, from 1, when its head is read; it raises to refuse the
            form before the rest is looked at.

    Raises:
        Problem: 400 for a form that is damaged or incomplete.
    """
    part, number = None, 0
    limits = {"max_header_count": _MAX_HEADERS, "max_header_size": _MAX_HEADER_BYTES}
    try:
        with multipart.PushMultipartParser(boundary, content_length=len(form), **limits) as parser:
            for begin in range(0, len(form), _CHUNK):
                for found in parser.parse(form[begin : begin + _CHUNK]):
                    if isinstance(found, multipart.MultipartSegment):
                        number += 1
                        check(found.name, number)
                        part = Part(found.name, found.filename is not None, bytearray())
                    elif found and part is not None:
                        part.content += found
                    elif part is not None:
                        yield part
    except multipart.MultipartError as error:
        raise _unreadable(str(error)) from error


def _unreadable(reason: str) -> Problem:
    return Problem(400, f"The form cannot be read: {reason.rstrip('.')}.", error_type="bad_request")
