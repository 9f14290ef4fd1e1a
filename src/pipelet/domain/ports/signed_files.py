"""What is asked of files that lie on our own disk, and are fetched from us under URLs that we signed."""

from pathlib import Path
from typing import Protocol


class SignedFiles(Protocol):
    def verify(self, key: str, expires: str, signature: str, *, now: float) -> Path:
        """The file behind a URL.

        Raises:
            InvalidKey: the signature is not ours, or it has expired.
            NotFound: the file is gone.
        """
