"""Finished images from our own disk, under URLs that we signed: whoever has one needs no key."""

import anyio
from fastapi import Request
from fastapi.responses import FileResponse, Response

from pipelet.api.parts import parts_of
from pipelet.api.problems import Problem
from pipelet.domain.errors import KeyRefused, NotFound
from pipelet.domain.image import OutputFormat

_CONTENT_TYPES = {each.extension: each.content_type for each in OutputFormat}
_HEADERS = {"Cache-Control": "private", "X-Content-Type-Options": "nosniff"}


async def fetch(request: Request) -> Response:
    parts = parts_of(request)
    key: str = request.path_params["key"]
    query = request.query_params
    expires, signature = query.get("expires", ""), query.get("signature", "")
    if parts.local_files is None or "\x00" in key:
        raise NotFound("There is no such file.")
    try:
        path = parts.local_files.verify(key, expires, signature, now=parts.clock.now())
    except KeyRefused as error:
        raise Problem(403, str(error)) from error
    try:
        found = await anyio.Path(path).stat()
    except FileNotFoundError as error:
        raise NotFound("There is no such file any more.") from error
    return FileResponse(
        path,
        headers=_HEADERS,
        media_type=_CONTENT_TYPES.get(path.suffix.removeprefix("."), "application/octet-stream"),
        filename=path.name,
        stat_result=found,
        content_disposition_type="inline",
    )
