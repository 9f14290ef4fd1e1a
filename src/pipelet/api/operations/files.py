"""Files on the local disk, under signed URLs that need no key."""

import anyio
from fastapi import Request
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse
from starlette.types import Message, Receive, Scope, Send

from pipelet.api.errors import Problem, problem_response
from pipelet.api.routing import Handler
from pipelet.domain.errors import InvalidKey, NotFound
from pipelet.domain.generation.image import OutputFormat
from pipelet.domain.ports.blobs import SignedFiles
from pipelet.domain.ports.clock import Clock
from pipelet.domain.uploads import CONTENT_TYPES, FOLDER

_CONTENT_TYPES = {each.extension: each.content_type for each in OutputFormat} | CONTENT_TYPES
_REFUSALS = {
    400: "The Range header is invalid. Send a range such as `bytes=0-1023`, or leave the header out.",
    416: "The range begins after the end of the file.",
}
_HEADERS = {"Cache-Control": "private"}
_UPLOAD_HEADERS = _HEADERS | {"Content-Security-Policy": "sandbox; default-src 'none'"}
"""An upload is stored as it was sent, on the origin of our own pages: whatever it is, nothing in it runs."""


class _File(FileResponse):
    """Refuses a range with a JSON error; Starlette's own class returns plain text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: Message | None = None

        async def send_unless_refused(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] in _REFUSALS:
                refusal = message
            if refusal is None:
                await send(message)

        await super().__call__(scope, receive, send_unless_refused)
        if refusal is not None:
            # Content-Range tells a client that asked beyond the end how long the file is.
            headers = {k.decode(): v.decode() for k, v in refusal["headers"] if k == b"content-range"}
            status = refusal["status"]
            await problem_response(status, _REFUSALS[status], headers=headers)(scope, receive, send)


def serve_files(files: SignedFiles, clock: Clock) -> Handler:
    """The route that serves them."""

    async def fetch(request: Request) -> Response:
        key: str = request.path_params["key"]
        query = request.query_params
        if "\x00" in key:
            raise NotFound("There is no such file.")
        try:
            path = files.verify(key, query.get("expires", ""), query.get("signature", ""), now=clock.now())
        except InvalidKey as error:
            raise Problem(403, str(error)) from error
        try:
            found = await anyio.Path(path).stat()
        except FileNotFoundError as error:
            raise NotFound("This file no longer exists.") from error
        file = _File(
            path,
            headers=_UPLOAD_HEADERS if key.startswith(FOLDER) else _HEADERS,
            media_type=_CONTENT_TYPES.get(path.suffix.removeprefix("."), "application/octet-stream"),
            filename=path.name,
            stat_result=found,
            content_disposition_type="inline",
        )
        is_known = _is_known(file.headers["etag"], request.headers.getlist("if-none-match"))
        return NotModifiedResponse(file.headers) if is_known else file

    return fetch


def _is_known(etag: str, sent: list[str]) -> bool:
    """Whether the file has one of the ETags of `If-None-Match`, compared weakly."""
    tags = [tag.strip().removeprefix("W/") for tag in ",".join(sent).split(",")]
    return etag in tags or "*" in tags
