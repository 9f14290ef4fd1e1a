"""The port of files on our own disk, which clients fetch from us under URLs that we signed."""

from pathlib import Path
from typing import Protocol


class SignedFiles(Protocol):
    def verify(self, key: str, expires: str, signature: str, *, now: float) -> Path:
        """The file behind a URL.

        Raises:
            InvalidKey: the signature is not ours, or it has expired.
            NotFound: the file is gone.
        """
