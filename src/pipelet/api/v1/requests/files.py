"""Files of requests: thumbnails, previews, and archives of images."""

import io
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.reading import read_query
from pipelet.api.v1.requests.schemas import ArchiveQuery
from pipelet.api.v1.requests.views import note_reads
from pipelet.domain.errors import NotFound
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.blobs import BlobStore
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.status import NO_SUCH_REQUEST
from pipelet.services.thumbnails.thumbnails import CONTENT_TYPE

_CACHED_FOR_A_DAY = {"Cache-Control": "private, max-age=86400"}
_NO_STORE = {"Cache-Control": "no-store"}
_MAX_DIGITS = 4
_MISSING = "missing.txt"


async def show_thumbnail(request: Request, caller: Caller) -> Response:
    services, number = get_services(request), request.path_params["number"]
    view = await services.request_lists.get(caller, request.path_params["request_id"])
    if not view.shows_content:
        raise NotFound(NO_SUCH_REQUEST)
    if not (number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS):
        raise NotFound("This request has no image of this number.")
    await note_reads(services, caller, [view])
    return Response(await services.thumbnails.read(view.job, int(number)), 200, _CACHED_FOR_A_DAY, CONTENT_TYPE)


async def show_preview(request: Request, caller: Caller) -> Response:
    services, deps = get_services(request), get_dependencies(request)
    view = await services.request_lists.get(caller, request.path_params["request_id"])
    if not view.shows_content:
        raise NotFound(NO_SUCH_REQUEST)
    preview = await deps.previews.read(view.job)
    if preview is None:
        return Response(status_code=204, headers=_NO_STORE)
    await note_reads(services, caller, [view])
    return Response(preview.image, 200, _NO_STORE, CONTENT_TYPE)


async def download_archive(request: Request, caller: Caller) -> Response:
    """Images are compressed already, so they are stored as they are, one in memory at a time."""
    services, deps = get_services(request), get_dependencies(request)
    ids = dict.fromkeys(read_query(request, ArchiveQuery).ids.split(","))
    views = [await services.request_lists.get(caller, each) for each in ids]
    if not all(view.shows_content for view in views):
        raise NotFound(NO_SUCH_REQUEST)
    await note_reads(services, caller, views)
    deps.connection_limiter.check(caller.user)
    headers = {"Content-Disposition": 'attachment; filename="images.zip"'}
    return StreamingResponse(_hold(deps, caller, [view.job for view in views]), 200, headers, "application/zip")


async def _hold(deps: Dependencies, caller: Caller, jobs: Sequence[Job]) -> AsyncIterator[bytes]:
    """Count the download as one of the caller's open connections."""
    with deps.connection_limiter.hold(caller.user):
        async for chunk in archive(jobs, deps.blobs):
            yield chunk


async def archive(jobs: Sequence[Job], blobs: BlobStore) -> AsyncIterator[bytes]:
    """Yield a zip file of all images, in a folder for each request; images that are gone are named in a text file."""
    pieces, missing = _Pieces(), []
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as packed:
        for job in jobs:
            made_at = datetime.fromtimestamp(max(job.finished_at or job.submitted_at, 315_532_800.0), UTC)
            for image in job.images:
                name = f"{job.id}/{image.file_name}"
                try:
                    data = await blobs.get(image.key)
                except NotFound:
                    missing.append(name)
                    continue
                packed.writestr(zipfile.ZipInfo(name, made_at.timetuple()[:6]), data)
                yield pieces.take()
        if missing:
            packed.writestr(_MISSING, "\n".join(missing) + "\n")
    yield pieces.take()


class _Pieces(io.RawIOBase):
    """A file that is read while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._written += view
        return view.nbytes

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
