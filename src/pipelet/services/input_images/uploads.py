"""Uploads: images that users send before a request names them.

A request reads an upload once, at its submit, and has a decoded copy of its own from then on: see `loader.py`.
"""

import contextlib
from dataclasses import replace

import structlog

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import BlobStoreError, InvalidImage, NotFound, QuotaExceeded, StoreError
from pipelet.domain.ids import is_request_id, new_request_id
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import Store
from pipelet.domain.uploads import CONTENT_TYPES, MAX_BYTES, Upload, is_upload_key, new_upload_key
from pipelet.services.accounts.limit_refusals import LimitRefusals, reason_of
from pipelet.services.input_images.formats import FORMATS, extension_of, unsupported
from pipelet.services.stored_files import delete_files

log = structlog.get_logger()

_UNCONFIRMED_TTL = 900.0
"""Seconds after which an upload counts as lost whose file was never written; far longer than that takes."""
_MAX_TTL = 1e9
"""Seconds, some thirty years: clients may be unable to read a later time."""
_NOT_THERE = "There is no such upload. It was deleted or has expired, or it is another user's."


class Uploads:
    """
    Args:
        retention_seconds: seconds for which uploads are kept at most, as requests are after their end.
    """

    def __init__(self, store: Store, blobs: BlobStore, refusals: LimitRefusals, *, retention_seconds: float) -> None:
        self._store = store
        self._blobs = blobs
        self._refusals = refusals
        self._retention_seconds = min(retention_seconds, _MAX_TTL)

    async def add(
        self, key: ApiKey, data: bytes, *, expires_in: float | None = None, file_key: str | None = None
    ) -> Upload:
        """Store an image for the user of a key. It is on disk when this returns.

        Args:
            expires_in: seconds for which it is kept, if that is less than the retention time.
            file_key: its key in the blob store, if that was named before. If its user has this upload already, that
                stays as it is.

        Raises:
            InvalidImage: it is empty, too large, or of a format that is not read.
            QuotaExceeded: the user has no room.
            TooBusy: another call is storing or deleting the file `file_key`.
        """
        extension = _checked_extension(data)
        now = self._store.clock.now()
        if file_key is not None and (earlier := await self._store.uploads.find(file_key, key.user, now)):
            return earlier
        upload = Upload(
            id=new_request_id(),
            user=key.user,
            key=file_key or new_upload_key(extension),
            size=len(data),
            expires_at=now + self._seconds_kept(expires_in),
        )
        await self._note(key, upload, now)
        try:
            await self._blobs.put(upload.key, data, CONTENT_TYPES[extension])
            is_kept = await self._store.uploads.confirm(upload.id, upload.expires_at)
        except (BlobStoreError, StoreError):
            await self._discard(upload)
            raise
        if not is_kept:  # maintenance has deleted the note, and perhaps looked for the file before it was there
            await self._blobs.delete(upload.key)
            raise BlobStoreError(f"Storing an upload of {upload.size} bytes took more than {_UNCONFIRMED_TTL:g} s.")
        log.info("upload.stored", upload_id=upload.id, user=upload.user, bytes=upload.size)
        return upload

    def url(self, upload: Upload, *, base_url: str) -> str:
        """A URL that shows the image without a key, until it expires or for as long as the blob store can sign."""
        now = self._store.clock.now()
        seconds = max(upload.expires_at - now, 1.0)
        return self._blobs.signed_url(upload.key, now=now, base_url=base_url, seconds=seconds)

    def url_of_file(self, file_key: str, *, expires_in: float | None, base_url: str) -> str:
        """Return the URL of an upload whose file is yet to come; it works for as long as the upload is kept."""
        now, seconds = self._store.clock.now(), self._seconds_kept(expires_in)
        return self._blobs.signed_url(file_key, now=now, base_url=base_url, seconds=seconds)

    def _seconds_kept(self, expires_in: float | None) -> float:
        return self._retention_seconds if expires_in is None else min(expires_in, self._retention_seconds)

    async def delete(self, user: str, upload_id: str) -> None:
        """Delete an upload. Requests that have read it keep their copies.

        Raises:
            NotFound: the user has no such upload.
        """
        now = self._store.clock.now()
        key = await self._store.uploads.delete(upload_id, user, now) if is_request_id(upload_id) else None
        if key is None:
            raise NotFound(_NOT_THERE)
        log.info("upload.deleted", upload_id=upload_id, user=user)
        await delete_files(self._store.files, self._blobs, [key])

    async def read(self, key: str, *, user: str) -> bytes:
        """The file of an upload, for a submit of its user.

        Raises:
            InvalidImage: the user has none with this key.
        """
        now = self._store.clock.now()
        upload = await self._store.uploads.find(key, user, now) if is_upload_key(key) else None
        if upload is None:
            raise InvalidImage("file_download_error", _NOT_THERE)
        try:
            data = await self._blobs.get(key)
        except NotFound as error:  # it was deleted just now
            raise InvalidImage("file_download_error", _NOT_THERE) from error
        if not upload.is_used:
            await self._store.uploads.note_use(upload.id)
        return data

    async def _note(self, key: ApiKey, upload: Upload, now: float) -> None:
        unconfirmed = replace(upload, expires_at=now + _UNCONFIRMED_TTL)
        try:
            await self._store.uploads.note(unconfirmed, is_limited=not key.is_admin)
        except QuotaExceeded as error:
            self._refusals.add(key.user, reason_of(error))
            raise

    async def _discard(self, upload: Upload) -> None:
        """Delete what was not stored as a whole. What cannot be deleted now expires soon."""
        with contextlib.suppress(StoreError, BlobStoreError):
            if await self._store.uploads.delete(upload.id, upload.user, 0.0):
                await delete_files(self._store.files, self._blobs, [upload.key])


def _checked_extension(data: bytes) -> str:
    if not data:
        raise InvalidImage("image_load_error", "The file is empty.")
    if len(data) > MAX_BYTES:
        message = f"The file is larger than {MAX_BYTES // 1024**2} MiB."
        raise InvalidImage("file_too_large", message, max_size=MAX_BYTES)
    extension = extension_of(data)
    if extension is None:
        raise unsupported(data, FORMATS)
    return extension
