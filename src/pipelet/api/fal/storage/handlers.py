"""fal's storage: URLs to upload to, tokens, and the uploads themselves."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, NoReturn

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.auth import authenticate_to_generate, recheck
from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.errors import Problem, error_detail, json_response, validation_problem
from pipelet.api.fal.input.options import read_lifecycle
from pipelet.api.middleware.access_log import note_key
from pipelet.api.request_urls import public_base_url
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import InvalidImage, RefusedKey
from pipelet.domain.uploads import CONTENT_TYPES, MAX_BYTES, Upload
from pipelet.services.accounts.access import Caller
from pipelet.services.input_images.upload_tickets import UploadTicket

_MAX_BODY_BYTES = 16 * 1024
_EXTENSIONS = {content_type: extension for extension, content_type in CONTENT_TYPES.items()}
_ANY_EXTENSION = "png"
"""For files whose type is not said: browsers read an image of any format under it."""


async def initiate_upload(request: Request) -> Response:
    """Where to PUT a file, and where it will be."""
    deps = get_dependencies(request)
    key = await authenticate_to_generate(deps, request.scope)
    async with AsyncExitStack() as stack:
        fields = await deps.bodies.read_json(request, stack, user=key.user, max_bytes=_MAX_BODY_BYTES)
    expires_in, base_url = read_lifecycle(request.scope), public_base_url(deps.public_url, request.scope)
    ticket, file_key = deps.upload_tickets.for_file(key, extension=_extension(fields), expires_in=expires_in)
    file_url = deps.uploads.url_of_file(file_key, expires_in=expires_in, base_url=base_url)
    return json_response(200, {"upload_url": f"{base_url}/fal/cdn/uploads/{ticket}", "file_url": file_url})


async def issue_token(request: Request) -> Response:
    """A token for uploads, and where to send them."""
    deps = get_dependencies(request)
    key = await authenticate_to_generate(deps, request.scope)
    token, until = deps.upload_tickets.for_many(key)
    body = {
        "token": token,
        "token_type": "Bearer",
        "base_url": f"{public_base_url(deps.public_url, request.scope)}/fal/cdn",
        "expires_at": datetime.fromtimestamp(until, UTC).isoformat(),
    }
    return json_response(200, body)


async def initiate_multipart(request: Request) -> NoReturn:
    """As `refuse_multipart`, for callers with a key."""
    await authenticate_to_generate(get_dependencies(request), request.scope)
    await refuse_multipart(request)


async def refuse_multipart(request: Request) -> NoReturn:
    """Refuse what fal's clients upload in parts: files of more than 90 MiB. No key may have them."""
    message = f"Uploads are images of {MAX_BYTES // 1024**2} MiB at most, and this file is larger."
    raise Problem(413, message, error_type="file_too_large")


async def put_file(request: Request) -> Response:
    """The file of a URL of `initiate_upload`. The URL is the permission: fal's clients send their key, or none."""
    deps = get_dependencies(request)
    try:
        ticket = await deps.upload_tickets.check(request.path_params["ticket"])
    except RefusedKey as error:
        raise Problem(403, str(error)) from error
    await _store(deps, request, ticket)
    return json_response(200, {})


async def post_file(request: Request) -> Response:
    """A file with a token of `issue_token`."""
    deps = get_dependencies(request)
    ticket = await deps.upload_tickets.check(request.headers.get("authorization", "").rpartition(" ")[2])
    upload = await _store(deps, request, ticket)
    url = deps.uploads.url(upload, base_url=public_base_url(deps.public_url, request.scope))
    return json_response(200, {"access_url": url})


async def _store(deps: Dependencies, request: Request, ticket: UploadTicket) -> Upload:
    key, started_at = ticket.key, deps.clock.now()
    note_key(request.scope, key.id)
    async with AsyncExitStack() as stack:
        data = await deps.bodies.read_bytes(request, stack, user=key.user, max_bytes=MAX_BYTES)
        key = await recheck(deps, key, since=started_at)
        Caller(key).require(Scope.GENERATE)  # its scopes may have changed since the ticket
        expires_in = ticket.expires_in if ticket.file_key else read_lifecycle(request.scope)
        try:
            return await deps.uploads.add(key, data, expires_in=expires_in, file_key=ticket.file_key)
        except InvalidImage as error:
            raise validation_problem(error_detail(["body"], str(error), error.kind, context=error.context)) from error


def _extension(fields: dict[str, Any]) -> str:
    """What the client says about the file, if it says that."""
    content_type = str(fields.get("content_type")).partition(";")[0].strip().lower()
    return _EXTENSIONS.get(content_type, _ANY_EXTENSION)
