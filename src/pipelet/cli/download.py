"""Saving the files of a request in a folder."""

from pathlib import Path

from pipelet.client import Client
from pipelet.client_types import Result
from pipelet.domain.errors import OperationalError


def prepare(folder: Path) -> None:
    """Create the folder before any work is done for it.

    Raises:
        OperationalError: creating it failed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationalError(
            f"Creating the folder {folder} failed: {error.strerror}. Choose another with --out."
        ) from error


def save(client: Client, request_id: str, result: Result, folder: Path) -> list[Path]:
    """Download the files of a result, and return their paths.

    Raises:
        OperationalError: the folder is not writable.
    """
    try:
        return client.download(result, folder)
    except OSError as error:
        raise OperationalError(
            f"Saving in {folder} failed: {error.strerror}. The service keeps the images: fetch them with "
            f"`pipelet status {request_id} --out FOLDER`."
        ) from error
