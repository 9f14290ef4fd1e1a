"""Files in a folder, fetched through our own API under URLs that carry a signature and expire."""

import asyncio
import contextlib
import errno
import hashlib
import hmac
import os
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

from pipelet.domain.errors import BlobStoreError, InvalidKey, NotFound
from pipelet.system.permissions import PRIVATE, Permissions

_STALE_TEMP_FILE_SECONDS = 3600.0
_PIECE_BYTES = 96 * 1024
_NOT_THERE = "This file is no longer stored."


class DiskBlobStore:
    """Implements `domain.ports.BlobStore`, and what `api.operations.files` needs to serve the files."""

    def __init__(
        self, folder: Path, *, signing_key: bytes, url_ttl_seconds: float, permissions: Permissions = PRIVATE
    ) -> None:
        self._folder = folder
        self._incoming = folder / ".incoming"
        self._signing_key = signing_key
        self._url_seconds = url_ttl_seconds
        self._permissions = permissions
        folder.parent.mkdir(parents=True, exist_ok=True)
        permissions.make_folder(self._incoming)
        self._remove_stale_temp_files()

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        await self._change(partial(self._write, key, data))

    def _write(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with self._temp_file(data) as draft:
            self._permissions.make_folder(path.parent)
            draft.rename(path)
            _sync_folder(path.parent)

    async def get(self, key: str) -> bytes:
        try:
            return await asyncio.to_thread(self._path(key).read_bytes)
        except FileNotFoundError as error:
            raise NotFound(_NOT_THERE) from error
        except OSError as error:
            raise BlobStoreError(f"{self._path(key)} cannot be read: {error.strerror or error}.") from error

    async def stream(self, key: str) -> AsyncGenerator[bytes]:
        path = self._path(key)
        try:
            with await asyncio.to_thread(path.open, "rb", buffering=0) as file:
                while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                    yield piece
        except FileNotFoundError as error:
            raise NotFound(_NOT_THERE) from error
        except OSError as error:
            raise BlobStoreError(f"{path} cannot be read: {error.strerror or error}.") from error

    @contextlib.contextmanager
    def _temp_file(self, data: bytes) -> Iterator[Path]:
        """A whole and durable file under a passing name: under its own a file is complete or not there."""
        draft = self._incoming / secrets.token_hex(16)
        try:
            with open(draft, "xb", opener=self._permissions.opener) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    def _probe_write(self) -> None:
        with self._temp_file(b"Is there room?"):
            pass

    def _remove_stale_temp_files(self) -> None:
        """Remove temporary files of writers that were killed, once no writer can still use them."""
        for draft in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > _STALE_TEMP_FILE_SECONDS:
                    draft.unlink()

    def signed_url(self, key: str, *, now: float, base_url: str, seconds: float | None = None) -> str:
        expires = int(now + (self._url_seconds if seconds is None else seconds))
        return f"{base_url}/files/{quote(key)}?expires={expires}&signature={self._sign(key, str(expires))}"

    def verify(self, key: str, expires: str, signature: str, *, now: float) -> Path:
        if not hmac.compare_digest(self._sign(key, expires).encode(), signature.encode()):
            raise InvalidKey("This URL was changed after it was signed. Read the result again for a fresh one.")
        if now >= int(expires):
            raise InvalidKey("This URL has expired. Read the result again for a fresh one.")
        path = self._path(key)
        if not path.is_file():
            raise NotFound(_NOT_THERE)
        return path

    async def delete(self, key: str) -> None:
        await self._change(partial(self._path(key).unlink, missing_ok=True))

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free

    async def check(self) -> None:
        await self._change(self._probe_write)

    async def _change(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except OSError as error:
            raise BlobStoreError(_advice(error, self._folder)) from error

    def _path(self, key: str) -> Path:
        path = self._folder / key
        if not path.is_relative_to(self._folder) or ".." in path.parts:
            raise NotFound("There is no such file.")
        return path

    def _sign(self, key: str, expires: str) -> str:
        message = f"GET\n{key}\n{expires}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._signing_key, message, hashlib.sha256).hex()


def _sync_folder(folder: Path) -> None:
    """A new name is durable only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _advice(error: OSError, folder: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"The disk that holds {folder} is full. Free some space; storing is retried."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{folder} cannot be written. Check its permissions and that it is not mounted read-only."
        case _:
            return f"Storing in {folder} failed: {error.strerror or error}."
