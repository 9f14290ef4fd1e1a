"""Makes the thumbnails of requests that have ended: one at a time, at a low priority, from pixels that are still here.

They are no part of a request's work: nothing waits for them, and one that is dropped is made at its first read.
"""

import asyncio
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog
from numpy.typing import NDArray
from PIL import Image

from pipelet.domain.errors import BlobStoreError, StoreError
from pipelet.services.thumbnails.encode import MAX_SIDE, thumbnail_of_image
from pipelet.services.thumbnails.thumbnails import Thumbnails

log = structlog.get_logger()

Pixels = NDArray[np.uint8]

_MAX_WAITING = 32
"""Thumbnails that wait, each with up to 3 MB of pixels. More are dropped: the device is faster than they are made."""
_DELAY = 0.05
"""Seconds before each one: when a request ends, the next one is handed to the engine."""
_NICENESS = 15
_OVERSAMPLING = 3


def sampled(pixels: Pixels) -> Pixels:
    """Copy every n-th pixel, so that enough are left to scale down from, in a millisecond or two."""
    step = max(1, max(pixels.shape[:2]) // (_OVERSAMPLING * MAX_SIDE))
    return np.ascontiguousarray(pixels[::step, ::step])


@dataclass(frozen=True, slots=True)
class _Wanted:
    job_id: str
    number: int
    pixels: Pixels


class ThumbnailMaker:
    def __init__(self, thumbnails: Thumbnails) -> None:
        self._thumbnails = thumbnails
        self._waiting: asyncio.Queue[_Wanted] = asyncio.Queue(_MAX_WAITING)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="thumbnail", initializer=_lower_priority)

    def add(self, job_id: str, pixels: Mapping[int, Pixels]) -> None:
        """Make the thumbnails of a request later; `pixels` are those of `sampled`, by the number of the image."""
        with suppress(asyncio.QueueFull):
            for number, each in pixels.items():
                self._waiting.put_nowait(_Wanted(job_id, number, each))

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                await self._make(await self._waiting.get())
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _make(self, wanted: _Wanted) -> None:
        await asyncio.sleep(_DELAY)
        encode = partial(thumbnail_of_image, Image.fromarray(wanted.pixels))
        try:
            data = await asyncio.get_running_loop().run_in_executor(self._thread, encode)
            await self._thumbnails.save(wanted.job_id, wanted.number, data)
        except (StoreError, BlobStoreError) as error:
            log.warning("thumbnail.store_failed", request_id=wanted.job_id, reason=str(error))
        except Exception:  # a side task: the worker continues
            log.exception("thumbnail.crashed", request_id=wanted.job_id)


def _lower_priority() -> None:
    """On Linux a niceness is that of a thread."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
