"""Images in a response: as URLs, and as Base64 that is read from their files while it is sent."""

import base64
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from pipelet.api.errors import as_json
from pipelet.api.openai.input import Delivery
from pipelet.domain.generation.image import StoredImage
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.blobs import BlobStore

Pieces = list[bytes | StoredImage]
"""A text in pieces. An image stands for the Base64 of its file."""

_MIN_CHUNK = 64 * 1024
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


def length_of(pieces: Pieces) -> int:
    """Bytes of the text."""
    return sum(len(piece) if isinstance(piece, bytes) else -(-piece.file_size // 3) * 4 for piece in pieces)


async def chunks_of(pieces: Pieces, blobs: BlobStore) -> AsyncGenerator[bytes]:
    """Yield the text in chunks; one is in memory at a time.

    Raises:
        NotFound, BlobStoreError: a file cannot be read.
    """
    chunk = bytearray()
    for piece in pieces:
        if isinstance(piece, bytes):
            chunk += piece
            continue
        rest = b""
        async with aclosing(blobs.stream(piece.key)) as file:
            async for read in file:
                data = rest + read
                whole = len(data) // 3 * 3
                rest = data[whole:]
                chunk += base64.b64encode(memoryview(data)[:whole])
                if len(chunk) >= _MIN_CHUNK:
                    yield bytes(chunk)
                    chunk.clear()
        chunk += base64.b64encode(rest)
    yield bytes(chunk)
