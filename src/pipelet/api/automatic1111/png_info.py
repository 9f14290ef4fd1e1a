"""The parameters that are inside a PNG, which every image of this service has: LibreChat asks for them."""

import base64
import struct
from contextlib import AsyncExitStack
from functools import partial

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.body import in_thread_if_large
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import error_detail, json_response, validation_problem
from pipelet.domain.uploads import MAX_BYTES
from pipelet.services.accounts.access import Caller

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 64
"""Chunks before the pixels that are looked at."""
_KEYWORD = b"parameters"
_ENVELOPE_BYTES = 1024


async def show_png_info(request: Request, caller: Caller) -> Response:
    deps = get_dependencies(request)
    async with AsyncExitStack() as stack:
        most = MAX_BYTES * 4 // 3 + _ENVELOPE_BYTES
        fields = await deps.bodies.read_json(request, stack, user=caller.user, max_bytes=most)
        image = fields["image"] if isinstance(fields.get("image"), str) else ""
        info = await in_thread_if_large(image, partial(_read, image))
    items = {"parameters": info} if info else {}
    return json_response(200, {"info": info, "items": items, "parameters": {}})


def _read(image: str) -> str:
    return parameters_in(_image_in(image))


def _image_in(text: str) -> bytes:
    try:
        return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
    except ValueError as error:  # of Base64, or of characters beyond ASCII
        raise validation_problem(error_detail(["body", "image"], "Give the Base64 of a PNG.")) from error


def parameters_in(png: bytes) -> str:
    """Return the text that is called `parameters`; empty if there is none before the pixels.

    https://www.w3.org/TR/png-3/#11textinfo
    """
    position = len(_SIGNATURE) if png.startswith(_SIGNATURE) else len(png)
    for _ in range(_MAX_CHUNKS):
        try:
            length, kind = struct.unpack_from(">I4s", png, position)
        except struct.error:
            return ""
        if kind == b"IDAT":
            return ""
        data = png[position + 8 : position + 8 + length]
        keyword, _, rest = data.partition(b"\0")
        if keyword == _KEYWORD and kind == b"tEXt":
            return rest.decode("latin-1")
        if keyword == _KEYWORD and kind == b"iTXt" and rest[:1] == b"\0":  # not compressed
            return rest[2:].split(b"\0", 2)[-1].decode("utf-8", "replace")
        position += length + 12
    return ""
