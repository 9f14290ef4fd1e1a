"""Input images of a request: fetched, checked and stored before the request is queued.

This happens at submit, so that the client learns at once what is wrong with an image, the image's size is known, and no
worker waits for a remote web server.
"""

import asyncio
import contextlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial

from pipelet.concurrency.daemon_threads import DaemonThreadPool
from pipelet.concurrency.fair_semaphore import FairSemaphore
from pipelet.domain.catalog import App
from pipelet.domain.errors import BlobStoreError, InvalidImage, InvalidInputImages, StoreError, TooBusy
from pipelet.domain.generation.image import InputImage
from pipelet.domain.ids import new_token
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.store import FileStore
from pipelet.services.input_images.decode import DecodedImage, decode_image, is_large
from pipelet.services.input_images.fetch import ImageFetcher

_MAX_CONCURRENT = 24
"""Maximum number of images, each of up to 20 MiB, that this process fetches or holds for their decoder."""
_MAX_CONCURRENT_PER_USER = 8
"""The maximum of one user, so that slow servers of one user delay no others; a submit may have as many images."""
_MAX_DECODERS, _MAX_DECODERS_PER_USER = 3, 2
"""One user never occupies all decoders. Each takes `LARGE_BYTES` of memory."""
_MAX_LARGE_DECODERS, _MAX_LARGE_DECODERS_PER_USER = 2, 1
"""Decoders for large images, which take seconds; small ones do not wait for them. Each takes up to 1.2 GB."""
_UNCLAIMED_TTL = 900.0
"""Seconds after which an image is deleted if its request was never queued; far longer than a submit takes."""


@dataclass
class InputImageLoader:
    files: FileStore
    blobs: BlobStore
    fetcher: ImageFetcher
    clock: Clock
    _: KW_ONLY
    fetch_timeout: float = 20.0
    """Seconds for fetching one image, without the wait for a free slot."""
    timeout: float = 80.0
    """Seconds for all images of a submit; fal's clients wait 120 for its response."""

    def __post_init__(self) -> None:
        # Pillow's warnings about damaged files contain numbers from the file, and Python keeps each distinct text.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        self._slots = FairSemaphore(_MAX_CONCURRENT, _MAX_CONCURRENT_PER_USER)
        self._decoders = DaemonThreadPool(_MAX_DECODERS, per_user=_MAX_DECODERS_PER_USER, name="decode")
        self._large_decoders = DaemonThreadPool(
            _MAX_LARGE_DECODERS, per_user=_MAX_LARGE_DECODERS_PER_USER, name="decode-large"
        )
        self._discarding: set[asyncio.Task[None]] = set()

    async def load_all(
        self, app: App, job_id: str, urls: Sequence[str], *, user: str, base_url: str
    ) -> tuple[InputImage, ...]:
        """Store the images at `urls` and reserve them for `job_id`. If the job is not submitted, call `discard`.

        Raises:
            InvalidInputImages: the error of each image that cannot be used.
            TooBusy: too many images of other requests are being read.
        """
        stored: dict[bytes, asyncio.Task[InputImage]] = {}  # by digest: images with the same pixels are stored once

        async def load(url: str) -> InputImage:
            async with self._slots.acquire(user):
                data = await self._fetch(url, user=user, base_url=base_url)
                image = await self._decode(data, user=user, max_side=app.limits.max_side)
                if image.digest not in stored:
                    stored[image.digest] = asyncio.create_task(self._store_image(app, job_id, image, user))
                # A store that has started completes, and only then is the image deleted.
                return await asyncio.shield(stored[image.digest])

        distinct = dict.fromkeys(urls)  # a URL that is named twice is fetched once
        try:
            async with asyncio.timeout(self.timeout):
                found = await asyncio.gather(*map(load, distinct), return_exceptions=True)
        except TimeoutError as error:
            self._discard_later(job_id, stored.values())
            raise TooBusy("Too many images of other requests are being read. Try again in a few seconds.") from error
        outcomes = dict(zip(distinct, found, strict=True))
        if any(isinstance(each, BaseException) for each in found):
            await self.discard(job_id)
            raise _error_of([outcomes[url] for url in urls])
        return tuple(outcomes[url] for url in urls)  # type: ignore[misc]

    async def discard(self, job_id: str) -> None:
        """Delete the images of a request that is not queued. Maintenance deletes what cannot be deleted now."""
        with contextlib.suppress(StoreError, BlobStoreError):
            keys = await self.files.release_input_files(job_id, self.clock.now())
            await asyncio.gather(*map(self.blobs.delete, keys))
            await self.files.delete_rows(keys)

    def _discard_later(self, job_id: str, stored: Iterable["asyncio.Task[InputImage]"]) -> None:
        """Discard once the images that are being stored are stored; an earlier delete would miss them."""

        async def discard() -> None:
            await asyncio.gather(*stored, return_exceptions=True)
            await self.discard(job_id)

        task = asyncio.create_task(discard())
        self._discarding.add(task)
        task.add_done_callback(self._discarding.discard)

    async def _fetch(self, url: str, *, user: str, base_url: str) -> bytes:
        try:
            async with asyncio.timeout(self.fetch_timeout):
                return await self.fetcher.read(url, user=user, base_url=base_url)
        except TimeoutError as error:
            message = f"The image did not arrive within {self.fetch_timeout:g} seconds."
            raise InvalidImage("file_download_error", message) from error

    async def _decode(self, data: bytes, *, user: str, max_side: int) -> DecodedImage:
        image = await self._decoders.run(
            lambda: None if is_large(data) else decode_image(data, max_side=max_side), user=user
        )
        if image is None:
            image = await self._large_decoders.run(partial(decode_image, data, max_side=max_side), user=user)
        return image

    async def _store_image(self, app: App, job_id: str, image: DecodedImage, user: str) -> InputImage:
        key, size = f"inputs/{app.name.replace('-', '_')}_api/{new_token()}.png", len(image.png)
        await self.files.reserve_input_files(job_id, [key], self.clock.now() + _UNCLAIMED_TTL, user=user, size=size)
        await self.blobs.put(key, image.png, "image/png")
        return InputImage(key=key, width=image.width, height=image.height)


def _error_of(outcomes: Sequence[InputImage | BaseException]) -> BaseException:
    """The first error that is not about an image, or else the errors of all invalid images."""
    failures: dict[int, InvalidImage] = {}
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, InvalidImage):
            failures[index] = outcome
        elif isinstance(outcome, BaseException):
            return outcome
    return InvalidInputImages(failures)
