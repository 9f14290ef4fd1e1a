"""Images in a response: as URLs, and as Base64 that is read from their files while it is sent."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipelet.api.errors import as_json
from pipelet.api.openai.input import Delivery
from pipelet.api.results.base64_images import Pieces
from pipelet.domain.generation.image import StoredImage
from pipelet.domain.jobs.job import Job

NO_USAGE = {
    **dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0),
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
}
"""Nothing here is counted in tokens; clients declare the field."""


def common_fields(job: Job) -> dict[str, Any]:
    """The fields that every response has."""
    spec = job.spec
    return {
        "background": "opaque",
        "output_format": spec.output_format.value,
        "quality": "auto",
        "size": str(spec.size),
    }


def result_pieces(job: Job, delivery: Delivery, urls: Iterable[str]) -> Pieces:
    """The response of a call that waits for its images.

    Args:
        urls: signed ones, of the images of `job`.
    """
    head = {"created": int(job.finished_at or job.submitted_at), **common_fields(job), "usage": NO_USAGE}
    pieces: Pieces = [as_json(head)[:-1] + b',"data":[']
    for number, (image, url) in enumerate(zip(job.images, urls, strict=True)):
        fields = {"url": url} if delivery.with_url else {}
        pieces.append(b"," if number else b"")
        pieces += with_base64(fields | {"seed": image.seed}, image if delivery.with_base64 else None)
    return [*pieces, b"]}"]


def with_base64(fields: Mapping[str, Any], image: StoredImage | None) -> Pieces:
    """An object with `b64_json` and other fields; without it, if there is no image."""
    if image is None:
        return [as_json(fields)]
    return [b'{"b64_json":"', image, b'",' + as_json(fields)[1:]]
