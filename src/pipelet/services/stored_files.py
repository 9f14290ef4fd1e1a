"""Deletion of stored files that nothing refers to any more."""

import asyncio
from collections.abc import Sequence

import structlog

from pipelet.domain.errors import BlobStoreError, StoreError
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import FileStore

log = structlog.get_logger()


async def delete_files(files: FileStore, blobs: BlobStore, keys: Sequence[str]) -> None:
    """Delete orphans, and their notes. What cannot be deleted now stays noted, and maintenance retries it."""
    outcomes = await asyncio.gather(*map(blobs.delete, keys), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BlobStoreError):
            log.warning("request.file_not_deleted", reason=str(outcome))
        elif outcome is not None:
            raise outcome
    try:
        await files.delete_rows([key for key, failed in zip(keys, outcomes, strict=True) if failed is None])
    except StoreError as error:  # they are gone, and maintenance deletes their notes
        log.warning("request.file_notes_not_deleted", reason=str(error))
