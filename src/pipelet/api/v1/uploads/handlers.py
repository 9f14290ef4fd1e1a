"""Upload an image, or delete it."""

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.auth import recheck
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import error_detail, json_response, validation_problem
from pipelet.api.request_urls import public_base_url
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.description import operation
from pipelet.api.v1.reading import read_query
from pipelet.api.v1.schemas import Input, Output, iso_time
from pipelet.api.v1.uploads.body import FIELD, sent_image
from pipelet.domain.errors import InvalidImage
from pipelet.domain.uploads import CONTENT_TYPES, MAX_BYTES, MAX_UNUSED
from pipelet.services.accounts.access import Caller

_MAX_SECONDS = 10**9
_BINARY = {"type": "string", "format": "binary"}


class UploadQuery(Input):
    expires_in: int | None = Field(
        None, ge=1, le=_MAX_SECONDS, description="Seconds for which it is kept, if less than the retention time."
    )


class UploadItem(Output):
    id: str
    url: str = Field(description="For `image_urls` of your requests. It also shows the image, without a key.")
    expires_at: str


UPLOAD = operation(
    "Upload an image",
    f"PNG, JPEG, WebP, GIF or AVIF by its bytes, {MAX_BYTES // 1024**2} MiB at most, as the body or as the field "
    f"`{FIELD}` of a form. It counts as stored, and a user has at most {MAX_UNUSED} uploads that no request has used.",
    answer=UploadItem,
    status=201,
    query=UploadQuery,
    sent={
        **{content_type: {"schema": _BINARY} for content_type in CONTENT_TYPES.values()},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {FIELD: _BINARY},
                "required": [FIELD],
                "additionalProperties": False,
            },
            "encoding": {FIELD: {"contentType": ", ".join(CONTENT_TYPES.values())}},
        },
    },
)
DELETE = operation(
    "Delete an upload", "Requests that have used it keep their copies.", answer="It is gone.", status=204, errors=[404]
)


async def upload_image(request: Request, caller: Caller) -> Response:
    deps, services, query = get_dependencies(request), get_services(request), read_query(request, UploadQuery)
    started_at = deps.clock.now()
    async with sent_image(request, caller) as data:
        key = await recheck(deps, caller.key, since=started_at)
        try:
            upload = await services.uploads.add(key, data, expires_in=query.expires_in)
        except InvalidImage as error:
            raise validation_problem(
                error_detail(["body", FIELD], str(error), error.kind, context=error.context)
            ) from error
    url = services.uploads.url(upload, base_url=public_base_url(deps.public_url, request.scope))
    return json_response(201, {"id": upload.id, "url": url, "expires_at": iso_time(upload.expires_at)})


async def delete_upload(request: Request, caller: Caller) -> Response:
    await get_services(request).uploads.delete(caller.user, request.path_params["upload_id"])
    return Response(status_code=204)
