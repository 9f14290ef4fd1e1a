"""The output of a request, as fal's image models return it."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import Dependencies
from pipelet.api.errors import as_json, json_response
from pipelet.api.fal.lookup import request_id_headers
from pipelet.api.fal.result import signed_images, unsuccessful_response
from pipelet.api.results.base64_images import Pieces
from pipelet.api.results.streamed import StreamedResult
from pipelet.domain.generation.image import StoredImage
from pipelet.domain.jobs.job import Job, JobState
from pipelet.services.requests.results import result_document

_FIELDS = ("images", "timings", "seed", "has_nsfw_concepts", "prompt")


async def output_response(deps: Dependencies, request: Request, job: Job) -> Response:
    """The output, or the error that the request ended with. With `sync_mode` it holds the images as `data:` URIs."""
    if job.state is not JobState.SUCCEEDED:
        return unsuccessful_response(deps, request, job)
    images = signed_images(deps, request, job)
    document = result_document(job, images)
    output = {name: document[name] for name in _FIELDS}
    headers = request_id_headers(job)
    if not job.inline_images:
        return json_response(200, output, headers)
    pieces = _with_images(output, images, job.images)
    return await StreamedResult.start(deps, pieces, user=job.user, headers=headers)


def _with_images(output: dict[str, Any], images: Sequence[dict[str, Any]], stored: Sequence[StoredImage]) -> Pieces:
    """The output, with a `data:` URI in the place of each URL."""
    rest = {name: value for name, value in output.items() if name != "images"}
    pieces: Pieces = [as_json(rest)[:-1] + b',"images":[']
    for number, (image, file) in enumerate(zip(images, stored, strict=True)):
        about = {name: value for name, value in image.items() if name != "url"}
        head = f'{{"url":"data:{file.content_type};base64,'.encode("ascii")
        pieces += [b"," * bool(number) + head, file, b'",' + as_json(about)[1:]]
    return [*pieces, b"]}"]
