"""Which previews of a request are sent as partial images, and their events."""

import base64
from collections import Counter
from typing import Any

from fastapi.sse import format_sse_event

from pipelet.api.errors import as_json
from pipelet.api.openai.images import common_fields
from pipelet.domain.generation.preview import Preview
from pipelet.domain.jobs.job import Job


class PartialImages:
    """Spreads the partial images of each image evenly over its steps. A fast model makes fewer than were asked for.

    Args:
        event: what the events' names begin with.
        most: maximum number for each image.
        steps: steps of an image.
    """

    def __init__(self, job: Job, *, event: str, most: int, steps: int) -> None:
        self._job = job
        self._type = f"{event}.partial_image"
        self._most = most
        self._steps = steps
        self._sent: Counter[int] = Counter()

    def event(self, preview: Preview) -> bytes:
        """The event of a preview; empty if it is not yet time for the next partial image of its image."""
        sent = self._sent[preview.index]
        if sent >= self._most or preview.step * (self._most + 1) < self._steps * (sent + 1):
            return b""
        document: dict[str, Any] = {
            "type": self._type,
            "b64_json": base64.b64encode(preview.image).decode("ascii"),
            "partial_image_index": self._sent.total(),
            "image_index": preview.index,
            "created_at": int(preview.made_at),
            **common_fields(self._job),
            # Of these bytes, not of the image that they are an estimate of.
            "output_format": "webp",
            "size": _size_of(preview.image),
        }
        self._sent[preview.index] += 1
        return format_sse_event(data_str=as_json(document).decode("ascii"), event=self._type)


def _size_of(webp: bytes) -> str:
    """The size in the head of a lossy WebP, which previews are: two numbers of 14 bits.

    https://www.rfc-editor.org/rfc/rfc6386#section-9.1
    """
    width, height = (int.from_bytes(webp[begin : begin + 2], "little") & 0x3FFF for begin in (26, 28))
    return f"{width}x{height}"
