"""Finished files, from the service into a folder."""

from pathlib import Path

from pipelet.client import Client, Result
from pipelet.domain.errors import Unusable


def prepare(folder: Path) -> None:
    """Make the folder, before any work is done for it.

    Raises:
        Unusable: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(f"The folder {folder} cannot be made: {error.strerror}. Choose another with --out.") from error


def save(client: Client, request_id: str, result: Result, folder: Path) -> list[Path]:
    """
    Raises:
        Unusable: the folder cannot be written.
    """
    try:
        return client.download(result, folder)
    except OSError as error:
        raise Unusable(
            f"Saving in {folder} failed: {error.strerror}. The service keeps the pictures: fetch them with "
            f" `pipelet status {request_id} --out FOLDER`."
        ) from error
