"""Makes the thumbnails of requests that have ended: one at a time, at a low priority, from pixels that are still here.

They are no part of a request's work: nothing waits for them, and one that is dropped is made at its first read. While
one request after the other is generated in less than a moment, none is made: it would take the interpreter's lock just
when the next request is handed to the engine.
"""

import asyncio
import os
import threading
import time
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
    """
    Args:
        quiet_seconds: seconds for which the engine has neither begun nor ended a request before a thumbnail is made.
    """

    def __init__(self, thumbnails: Thumbnails, *, quiet_seconds: float) -> None:
        self._thumbnails = thumbnails
        self._quiet_seconds = quiet_seconds
        self._waiting: asyncio.Queue[_Wanted] = asyncio.Queue(_MAX_WAITING)
        self._quiet_at = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="thumbnail", initializer=_lower_priority)

    def add(self, job_id: str, pixels: Mapping[int, Pixels]) -> None:
        """Make the thumbnails of a request later; `pixels` are those of `sampled`, by the number of the image."""
        with suppress(asyncio.QueueFull):
            for number, each in pixels.items():
                self._waiting.put_nowait(_Wanted(job_id, number, each))

    def defer(self) -> None:
        """Make none for a moment. Call it when the engine begins or ends a request."""
        self._quiet_at = time.monotonic() + self._quiet_seconds

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                wanted = await self._waiting.get()
                await self._wait_for_quiet()
                await self._make(wanted)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _wait_for_quiet(self) -> None:
        while True:
            seconds = self._quiet_at - time.monotonic()
            if seconds <= 0:
                return
            await asyncio.sleep(seconds)

    async def _make(self, wanted: _Wanted) -> None:
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
