"""Previews: what an image that is being generated will look like, estimated after one of its steps."""

from dataclasses import dataclass

MAX_SIDE = 256
"""Pixels of the longer side."""
MAX_BYTES = 48_000
"""Bytes of an encoded preview: as a data URI it has at most 64 KiB."""
INTERVAL = 0.5
"""Minimum seconds between two previews of a request."""
WATCH_SECONDS = 30.0
"""Seconds for which a worker makes previews after a client has asked; a client that still watches asks again."""


@dataclass(frozen=True, slots=True)
class PreviewPixels:
    """A preview as an engine makes it."""

    index: int
    """Number of the image in its request, from 0."""
    step: int
    """Steps of the image that are done."""
    pixels: memoryview
    """uint8, shape (height, width, 3), RGB; no side is longer than `MAX_SIDE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A preview as clients get it."""

    index: int
    """Number of the image in its request, from 0."""
    step: int
    """Steps of the image that are done."""
    image: bytes
    """WebP, at most `MAX_BYTES`."""
    made_at: float
    """Seconds since the epoch."""
