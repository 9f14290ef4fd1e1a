"""The pictures that an edit starts from: fetched, checked and stored before its request is queued.

At submit, so that what is wrong with one is said at once, its size is known, and no worker waits for somebody's web
server.
"""

import asyncio
import contextlib
import warnings
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipelet.api.downloads import Downloads
from pipelet.api.input import ReferenceUrl
from pipelet.api.pictures import Picture, PictureRefused, is_large, read_picture
from pipelet.api.problems import Fault, Problem, bad_input, fault
from pipelet.api.shares import SharedThreads, Shares
from pipelet.domain.catalog import App
from pipelet.domain.errors import BlobsUnusable, StoreUnusable
from pipelet.domain.ids import new_token
from pipelet.domain.image import Reference
from pipelet.domain.ports import BlobStore, Clock, JobStore

_AT_ONCE = 24
"""Pictures in the hands of this process, each of up to 20 MiB: fetched, or waiting for their decoder."""
_AT_ONCE_PER_USER = 8
"""So that one with slow servers holds up no others. As many as a submit may have."""
_DECODED_AT_ONCE, _DECODED_AT_ONCE_PER_USER = 3, 2
"""So that one with many pictures leaves a decoder to the others. Each takes `LARGE_BYTES` of memory."""
_LARGE_AT_ONCE, _LARGE_AT_ONCE_PER_USER = 2, 1
"""The same, of large pictures, which take seconds: small ones do not wait for them. Each takes up to 1.2 GB."""
_UNTAKEN_SECONDS = 900.0
"""Until a picture is deleted whose request was never queued; longer than a submit takes by far."""


@dataclass(frozen=True, slots=True)
class _Submit:
    """The pictures of one submit; those of the same pixels are stored once."""

    app: App
    job_id: str
    user: str
    base_url: str
    kept: dict[bytes, "asyncio.Task[Reference]"] = field(default_factory=dict)

    async def once(self, picture: Picture, keep: Callable[[], Coroutine[Any, Any, Reference]]) -> Reference:
        task = self.kept.get(picture.digest)
        if task is None:
            task = self.kept[picture.digest] = asyncio.create_task(keep())
        return await asyncio.shield(task)  # what has begun to be stored is stored, and only then deleted


class References:
    def __init__(
        self,
        store: JobStore,
        blobs: BlobStore,
        downloads: Downloads,
        clock: Clock,
        *,
        fetch_seconds: float = 20.0,
        patience: float = 80.0,
    ) -> None:
        """`fetch_seconds` is for one picture, once its turn has come. `patience` is in seconds, too, and for all that
        is done with those of a submit: fal's clients wait 120 for its answer."""
        # Pillow warns of damage with numbers from the file, and Python remembers each text for good.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        self._store = store
        self._blobs = blobs
        self._downloads = downloads
        self._clock = clock
        self._fetch_seconds = fetch_seconds
        self._patience = patience
        self._slots = Shares(_AT_ONCE, _AT_ONCE_PER_USER)
        self._decoders = SharedThreads(_DECODED_AT_ONCE, _DECODED_AT_ONCE_PER_USER, name="decode")
        self._large_decoders = SharedThreads(_LARGE_AT_ONCE, _LARGE_AT_ONCE_PER_USER, name="decode-large")
        self._discarding: set[asyncio.Task[None]] = set()

    async def collect(
        self, app: App, job_id: str, reference_urls: Sequence[ReferenceUrl], *, user: str, base_url: str
    ) -> tuple[Reference, ...]:
        """Stored and noted for `job_id`, in the order of `reference_urls`. Where it is not submitted, call `discard`.

        Raises:
            Problem: 422 with what is wrong with each picture; 503 where too many others are in work.
        """
        submit = _Submit(app, job_id, user, base_url)
        urls = dict.fromkeys(each.url for each in reference_urls)  # what is named twice is fetched once
        try:
            async with asyncio.timeout(self._patience):
                found = await asyncio.gather(*(self._one(submit, url) for url in urls), return_exceptions=True)
        except TimeoutError as error:
            self._discard_later(submit)
            message = "Too many pictures of other requests are being read. Try again in a few seconds."
            raise Problem(503, message) from error
        outcomes = dict(zip(urls, found, strict=True))
        if any(isinstance(each, BaseException) for each in found):
            await self.discard(job_id)
            raise _refusal(reference_urls, outcomes)
        return tuple(outcomes[each.url] for each in reference_urls)  # type: ignore[misc]

    async def discard(self, job_id: str) -> None:
        """Delete what was stored for a request that is not queued; what cannot be deleted now, housekeeping deletes."""
        with contextlib.suppress(StoreUnusable, BlobsUnusable):
            keys = await self._store.release_references(job_id, self._clock.now())
            await asyncio.gather(*map(self._blobs.delete, keys))
            await self._store.forget_files(keys)

    def _discard_later(self, submit: _Submit) -> None:
        """Once the pictures that are being stored are stored: deleted before, they would stay."""

        async def discard() -> None:
            await asyncio.gather(*submit.kept.values(), return_exceptions=True)
            await self.discard(submit.job_id)

        task = asyncio.create_task(discard())
        self._discarding.add(task)
        task.add_done_callback(self._discarding.discard)

    async def _one(self, submit: _Submit, url: str) -> Reference:
        async with self._slots.hold(submit.user):
            try:
                async with asyncio.timeout(self._fetch_seconds):
                    data = await self._downloads.read(url, user=submit.user, base_url=submit.base_url)
            except TimeoutError as error:
                message = f"The picture was not there after {self._fetch_seconds:g} seconds."
                raise PictureRefused("file_download_error", message) from error
            picture = await self._decoded(submit, data)
            return await submit.once(picture, partial(self._keep, submit, picture))

    async def _decoded(self, submit: _Submit, data: bytes) -> Picture:
        max_side = submit.app.limits.max_side
        picture = await self._decoders.run(submit.user, partial(_read_small, data, max_side))
        if picture is None:
            picture = await self._large_decoders.run(submit.user, partial(read_picture, data, max_side=max_side))
        return picture

    async def _keep(self, submit: _Submit, picture: Picture) -> Reference:
        name = submit.app.name.replace("-", "_")
        key = f"inputs/{name}_api/{new_token()}.png"
        await self._store.note_references(submit.job_id, [key], self._clock.now() + _UNTAKEN_SECONDS)
        await self._blobs.put(key, picture.png, "image/png")
        return Reference(key=key, width=picture.width, height=picture.height)


def _read_small(data: bytes, max_side: int) -> Picture | None:
    """None where it is large."""
    return None if is_large(data) else read_picture(data, max_side=max_side)


def _refusal(
    reference_urls: Sequence[ReferenceUrl], outcomes: Mapping[str, Reference | BaseException]
) -> BaseException:
    """What is wrong with each picture, or the first error that is no picture's."""
    faults: list[Fault] = []
    for each in reference_urls:
        error = outcomes[each.url]
        if isinstance(error, PictureRefused):
            faults.append(fault(each.loc, str(error), error.kind, sent=each.url, context=error.context))
        elif isinstance(error, BaseException):
            return error
    return bad_input(*faults)
