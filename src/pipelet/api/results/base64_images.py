"""Images inside a JSON response, as Base64 that is read from their files while it is sent."""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pipelet.domain.generation.image import StoredImage
from pipelet.domain.ports.blobs import BlobStore

Pieces = list[bytes | StoredImage]
"""A text in pieces. An image stands for the Base64 of its file."""

_MIN_CHUNK = 64 * 1024


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
