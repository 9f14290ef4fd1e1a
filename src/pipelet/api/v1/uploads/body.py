"""The image in the body of an upload: the whole body, or the one file of a form."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import Request

from pipelet.api import suggestions
from pipelet.api.body import in_thread_if_large
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import Problem, echo, error_detail, validation_problem
from pipelet.api.input.forms import form_boundary, parse_form
from pipelet.domain.uploads import MAX_BYTES
from pipelet.services.accounts.access import Caller

FIELD = "file"
_MAX_FORM_BYTES = MAX_BYTES + 64 * 1024
_NAME_CHARS = 64


@asynccontextmanager
async def sent_image(request: Request, caller: Caller) -> AsyncIterator[bytes]:
    """Yield the file that was sent, whatever it is. The memory of a large one stays reserved until the block ends.

    Raises:
        Problem: 400, 413 or 503, as `BodyReader.read_bytes`; 400 for a form that is damaged or incomplete; 422 for one
            that has not exactly the field `file`.
    """
    bodies, boundary = get_dependencies(request).bodies, form_boundary(request)
    async with AsyncExitStack() as stack:
        most = MAX_BYTES if boundary is None else _MAX_FORM_BYTES
        body = await bodies.read_bytes(request, stack, user=caller.user, max_bytes=most)
        if boundary is not None:
            body = await in_thread_if_large(body, partial(_file_in, body, boundary))
        yield body


def _file_in(form: bytes, boundary: str) -> bytes:
    """The content of the one part of a form."""
    parts = list(parse_form(form, boundary, _check_part))
    if not parts:
        raise validation_problem(error_detail(["body", FIELD], "Send one file.", "missing"))
    [file] = parts
    if len(file.content) > MAX_BYTES:
        raise Problem(413, f"The file is larger than {MAX_BYTES // 1024**2} MiB.", error_type="file_too_large")
    return bytes(file.content)


def _check_part(name: str, number: int) -> None:
    """Refuse a part as soon as its head is read, before the others are."""
    if name != FIELD:
        shown = str(echo(name[:_NAME_CHARS]))
        hint = suggestions.name_hint(name[:_NAME_CHARS], [FIELD], what="fields")
        raise validation_problem(error_detail(["body", shown], f"Unknown field '{shown}'. {hint}", "extra_forbidden"))
    if number > 1:
        raise validation_problem(error_detail(["body", FIELD], "Send one file: upload others on their own."))
