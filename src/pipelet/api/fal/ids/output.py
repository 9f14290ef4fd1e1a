"""The output of a request, as fal's image models return it."""

import base64
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from pipelet.api.dependencies import Dependencies
from pipelet.api.errors import as_json, json_response
from pipelet.api.fal.lookup import request_id_headers
from pipelet.api.fal.result import signed_images, unsuccessful_response
from pipelet.domain.generation.image import StoredImage
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.ports.blobs import BlobStore
from pipelet.services.requests.results import result_document

_FIELDS = ("images", "timings", "seed", "has_nsfw_concepts", "prompt")


async def output_response(deps: Dependencies, request: Request, job: Job) -> Response:
    """The output, or the error that the request ended with. With `sync_mode` it holds the images as `data:` URIs."""
    if job.state is not JobState.SUCCEEDED:
        return unsuccessful_response(deps, request, job)
    images = signed_images(deps, request, job)
    document = result_document(job, images)
    output = {name: document[name] for name in _FIELDS}
    if not job.inline_images:
        return json_response(200, output, request_id_headers(job))
    first = await deps.blobs.get(job.images[0].key)  # a file that is gone is an error before the response begins
    body = _with_images(output, images, first, job.images, deps.blobs)
    return StreamingResponse(body, headers=request_id_headers(job), media_type="application/json")


async def _with_images(
    output: dict[str, Any],
    images: Sequence[dict[str, Any]],
    data: bytes,
    stored: Sequence[StoredImage],
    blobs: BlobStore,
) -> AsyncIterator[bytes]:
    """The output in pieces of one image at most; `data` is the first one."""
    rest = {name: value for name, value in output.items() if name != "images"}
    yield as_json(rest)[:-1] + b',"images":['
    for number, (image, file) in enumerate(zip(images, stored, strict=True)):
        if number:
            data = await blobs.get(file.key)
        uri = f"data:{file.content_type};base64,{base64.b64encode(data).decode('ascii')}"
        yield (b"," if number else b"") + as_json(image | {"url": uri})
    yield b"]}"
