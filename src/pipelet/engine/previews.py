"""Previews between the child and its parent: pixels go through shared memory, no more often than clients get them."""

import os
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelet.domain.generation.preview import INTERVAL, MAX_SIDE
from pipelet.engine.messages import PreviewMade
from pipelet.engine.shared_memory import open_unnamed

_MAX_BYTES = 3 * MAX_SIDE**2


class PreviewBuffer:
    """The parent's end: room for two previews, so that the child writes one while the other is read."""

    def __init__(self) -> None:
        self.descriptor = open_unnamed()

    def read(self, made: PreviewMade) -> memoryview:
        """Copy the pixels of a preview, shape (height, width, 3)."""
        pixels = os.pread(self.descriptor, 3 * made.height * made.width, made.half * _MAX_BYTES)
        return memoryview(pixels).cast("B", (made.height, made.width, 3))

    def close(self) -> None:
        """Safe to call twice."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class PreviewWriter:
    """The child's end; implements `backend.Previews`.

    Args:
        descriptor: the file of the `PreviewBuffer`.
        send: tells the parent of a preview.
    """

    def __init__(self, descriptor: int, send: Callable[[PreviewMade], None]) -> None:
        self._descriptor = descriptor
        self._send = send
        self._number = 0
        self._wanted = 0, 0.0
        self._next_at = 0.0
        self._half = 0

    def begin(self, number: int, seconds: float) -> None:
        """Generation `number` begins; make previews of it for that many seconds."""
        self._number = number
        if seconds > 0:
            self.ask(number, seconds)

    def ask(self, number: int, seconds: float) -> None:
        """Make previews of generation `number` for that many seconds. Safe in another thread than the backend's."""
        self._wanted = number, time.monotonic() + seconds

    @property
    def is_due(self) -> bool:
        number, until = self._wanted
        return number == self._number and self._next_at <= time.monotonic() < until

    def show(self, pixels: NDArray[np.uint8], *, index: int, step: int) -> None:
        height, width = pixels.shape[:2]
        self._next_at = time.monotonic() + INTERVAL
        self._half = 1 - self._half
        os.pwrite(self._descriptor, np.ascontiguousarray(pixels).data, self._half * _MAX_BYTES)
        self._send(
            PreviewMade(number=self._number, index=index, step=step, half=self._half, height=height, width=width)
        )
