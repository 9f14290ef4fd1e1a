"""Where finished files are stored, and how they are fetched under signed URLs."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol


class BlobStore(Protocol):
    """Finished files. Every call may raise BlobStoreError, which says what is wrong and how to fix it."""

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store under `key`; afterwards the file is there whole and durable, or not at all."""

    async def get(self, key: str) -> bytes:
        """Return what was stored under `key`.

        Raises:
            NotFound: there is no such file.
        """

    def stream(self, key: str) -> AsyncGenerator[bytes]:
        """Yield what was stored under `key` in pieces of at most 1 MiB, so that a large file is never in memory.

        Raises:
            NotFound: there is no such file.
        """

    def signed_url(self, key: str, *, now: float, base_url: str, seconds: float | None = None) -> str:
        """Return a URL that fetches the file without an API key, for a limited time. `base_url` is that of the API.

        Args:
            seconds: for which it works, or the most that the store can sign; None: for as long as URLs of results do.
        """

    async def delete(self, key: str) -> None:
        """Delete; a key that is not there is fine."""

    async def check(self) -> None:
        """Raise BlobStoreError if nothing can be stored."""


class SignedFiles(Protocol):
    """Files on our own disk, which clients fetch from us under the URLs that we signed."""

    def verify(self, key: str, expires: str, signature: str, *, now: float) -> Path:
        """Return the file behind a URL.

        Raises:
            InvalidKey: the signature is not ours, or it has expired.
            NotFound: the file is gone.
        """

    def free_bytes(self) -> int:
        """Return how much room the disk has."""
