"""Stores and reads thumbnails.

A worker makes them when a request has ended. Where one is missing, because the worker stopped or the request is older,
the first read makes it.
"""

import contextlib
from functools import partial

import structlog

from pipelet.concurrency.daemon_threads import DaemonThreadPool
from pipelet.domain.errors import BlobStoreError, NotFound, StoreError
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import Store
from pipelet.services.thumbnails.encode import thumbnail_of_file

log = structlog.get_logger()

CONTENT_TYPE = "image/webp"
_UNCONFIRMED_TTL = 600.0
"""Seconds after which a file is deleted if its process died while it was stored."""
_MAX_DECODERS, _MAX_DECODERS_PER_USER = 2, 1


def thumbnail_key(job_id: str, number: int) -> str:
    return f"thumbnails/{job_id}_{number}.webp"


class Thumbnails:
    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store = store
        self._blobs = blobs
        self._decoders = DaemonThreadPool(_MAX_DECODERS, per_user=_MAX_DECODERS_PER_USER, name="thumbnail")

    async def read(self, job: Job, number: int) -> bytes:
        """The thumbnail of the image of this number; it is made if it is missing.

        Raises:
            NotFound: there is no such image.
        """
        if not 0 <= number < len(job.images):
            raise NotFound("This request has no image of this number.")
        with contextlib.suppress(NotFound):
            return await self._blobs.get(thumbnail_key(job.id, number))
        original = await self._blobs.get(job.images[number].key)
        try:
            data = await self._decoders.run(partial(thumbnail_of_file, original), user=job.user)
        except OSError as error:
            raise NotFound("The image is damaged, so it has no thumbnail.") from error
        try:
            await self.save(job.id, number, data)
        except (StoreError, BlobStoreError) as error:  # the next read makes it again
            log.warning("thumbnail.store_failed", reason=str(error))
        return data

    async def save(self, job_id: str, number: int, data: bytes) -> None:
        """Store a thumbnail, unless it is stored already or its request has been deleted."""
        key, files = thumbnail_key(job_id, number), self._store.files
        if not await files.note_thumbnail(job_id, key, len(data), self._store.clock.now() + _UNCONFIRMED_TTL):
            return
        await self._blobs.put(key, data, CONTENT_TYPE)
        if not await files.confirm_thumbnail(job_id, key):  # the request was deleted in the meantime
            await self._blobs.delete(key)
            await files.delete_rows([key])
