"""The body of a call: JSON, or the form of an edit with files in it, within the same bounds."""

import base64
import re
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from fastapi import Request

from pipelet.api.body import in_thread_if_large
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import Problem, echo, error_detail, validation_problem
from pipelet.api.input.forms import Part, form_boundary, parse_form
from pipelet.api.input.schema import IMAGE_URLS, MAX_INPUT_IMAGES
from pipelet.api.openai.input import IMAGE_FIELDS, UNSUPPORTED
from pipelet.api.openai.models import find_app
from pipelet.domain.catalog import EDIT
from pipelet.domain.uploads import MAX_BYTES

MAX_PARTS = 100
_MAX_TEXT_BYTES = 64 * 1024
_FORM_BYTES = 64 * 1024
"""Bytes of a form that are not in its files."""
_IMAGE_PART = re.compile(r"image(\[\d{0,3}\])?")
"""One image is `image`, several are `image[]`, or `image` again."""
_URL_PART = re.compile(r"url(\[\])?")
"""SGLang's names of parts with a URL in the place of a file."""
_NAME_CHARS = 64


async def read_fields(request: Request, stack: AsyncExitStack, *, user: str, task: str) -> dict[str, Any]:
    """The fields of the body; the input images of an edit are URLs or data: URIs under `IMAGE_URLS`.

    The memory of a large body stays reserved until `stack` is closed.

    Raises:
        Problem: 404 if no app here does the task; 400, 413 or 503, as `BodyReader.read_json`; 422 for
            a form or an image that cannot be used.
    """
    deps = get_dependencies(request)
    find_app(deps.catalog, None, task)  # before a body is read that no app here takes
    most = max(app.limits.max_body_bytes for app in deps.catalog.apps_for(task))
    boundary = form_boundary(request) if task == EDIT else None
    if boundary is None:
        fields = await deps.bodies.read_json(request, stack, user=user, max_bytes=most)
        return _with_image_urls(fields) if task == EDIT else fields
    form = await deps.bodies.read_bytes(request, stack, user=user, max_bytes=most + _FORM_BYTES)
    return await in_thread_if_large(form, partial(_fields_in, form, boundary))


def _with_image_urls(fields: dict[str, Any]) -> dict[str, Any]:
    """OpenAI names images in JSON as `"images": [{"image_url": "…"}]`; a URL or a list of URLs is taken, too."""
    found = {name: value for name, value in fields.items() if name not in IMAGE_FIELDS}
    names = [name for name in IMAGE_FIELDS if fields.get(name) is not None]
    if len(names) > 1:
        raise _fault(names[1], f"Give {' or '.join(names)}, not several.")
    if names:
        images = fields[names[0]]
        found[IMAGE_URLS] = [_url_of(each) for each in (images if isinstance(images, list) else [images])]
    return found


def _url_of(reference: object) -> object:
    if isinstance(reference, dict):
        if reference.get("file_id") is not None:
            message = "File ids are not supported. Give an image_url: a URL or a data: URI."
            raise _fault("images", message, "unsupported_parameter")
        reference = reference.get("image_url")
        if isinstance(reference, dict):  # as in chat messages
            reference = reference.get("url")
    return reference


def _fields_in(form: bytes, boundary: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    urls: list[str] = []
    for part in parse_form(form, boundary, _check_part):
        if _is_image(part.name):
            urls.append(_image_url(part))
        elif part.name in fields:
            raise _fault(part.name, "Give it once: it is not clear which one counts.")
        else:
            fields[part.name] = _text(part)
    if urls:
        fields[IMAGE_URLS] = urls
    return fields


def _check_part(name: str, number: int) -> None:
    """Refuse a form as soon as a head is read that it may not have."""
    if name in UNSUPPORTED:
        raise _fault(name, UNSUPPORTED[name], "unsupported_parameter")
    if number > MAX_PARTS:
        message = f"The form has more than {MAX_PARTS} parts. {MAX_INPUT_IMAGES} of them may be images."
        raise Problem(400, message, error_type="too_many_parts")


def _is_image(name: str) -> bool:
    return bool(_IMAGE_PART.fullmatch(name) or _URL_PART.fullmatch(name))


def _image_url(part: Part) -> str:
    if not part.is_file:
        return _text(part)
    if len(part.content) > MAX_BYTES:
        message = f"At most {MAX_INPUT_IMAGES} files of {MAX_BYTES // 1024**2} MiB are taken; one is larger."
        raise Problem(413, message, error_type="file_too_large")
    # What the file is, is read from its bytes.
    return f"data:;base64,{base64.b64encode(part.content).decode('ascii')}"


def _text(part: Part) -> str:
    if len(part.content) > _MAX_TEXT_BYTES:
        raise _fault(part.name, f"A text may have {_MAX_TEXT_BYTES // 1024} KiB in a form.", "string_too_long")
    try:
        return part.content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _fault(part.name, "This is not a text in UTF-8.") from error


def _fault(name: str, message: str, kind: str = "value_error", *, sent: object = None) -> Problem:
    return validation_problem(error_detail(["body", str(echo(name[:_NAME_CHARS]))], message, kind, sent=sent))
