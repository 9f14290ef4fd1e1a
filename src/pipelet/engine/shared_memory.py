"""Shared memory for images between parent and child, which no crash can leak.

A slot is a file without a name: it disappears with the last process that has it open.
"""

import asyncio
import math
import mmap
import os
import tempfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int, int]
"""Images, height, width, 3."""


class Slots:
    """The slots of one child, for one event loop: take and release there."""

    def __init__(self, count: int) -> None:
        self.descriptors = [open_unnamed() for _ in range(count)]
        self.free: asyncio.Queue[int] = asyncio.Queue()
        """Take a slot from it to wait for a free one, and put it back to release it."""
        for slot in range(count):
            self.free.put_nowait(slot)

    def view(self, slot: int, shape: Shape) -> memoryview:
        """Make room for the pixels and map them, read-only. They stay readable after `close`."""
        descriptor = self.descriptors[slot]
        # A slot never shrinks: reading a mapped page beyond the end kills the reader, and a view of a released batch
        # may still exist.
        if os.fstat(descriptor).st_size < math.prod(shape):
            os.ftruncate(descriptor, math.prod(shape))
        mapped = mmap.mmap(descriptor, math.prod(shape), prot=mmap.PROT_READ)
        return memoryview(mapped).cast("B", shape)

    def close(self) -> None:
        """Close the files, once; existing views keep theirs."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


class InputBuffer:
    """The input images of the next micro-batch, one after another."""

    def __init__(self) -> None:
        self.descriptor = open_unnamed()

    async def fill(self, images: Sequence[memoryview]) -> None:
        """Write `images`; the child must have finished with the previous ones."""
        offset = 0
        for image in images:
            os.pwrite(self.descriptor, image.cast("B"), offset)
            offset += image.nbytes
            await asyncio.sleep(0)  # yield so that lease renewals can run

    def close(self) -> None:
        """Safe to call twice."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def map_output(descriptor: int, shape: Shape) -> NDArray[np.uint8]:
    """Map a slot in the child."""
    return np.frombuffer(mmap.mmap(descriptor, math.prod(shape)), np.uint8).reshape(shape)


def map_inputs(descriptor: int, shapes: Sequence[tuple[int, int, int]]) -> list[NDArray[np.uint8]]:
    """Map the input buffer in the child."""
    if not shapes:
        return []
    mapped, offset, images = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ), 0, []
    for shape in shapes:
        pixels = np.frombuffer(mapped, np.uint8, count=math.prod(shape), offset=offset)
        images.append(pixels.reshape(shape))
        offset += pixels.nbytes
    return images


def open_unnamed() -> int:
    """Open a file in memory that has no name. It grows where it is written."""
    if hasattr(os, "memfd_create"):
        # Not /dev/shm: containers give it 64 MB, and writing past that kills the writer.
        return os.memfd_create("pipelet-pixels", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(prefix="pipelet-pixels-") as file:
        return os.dup(file.fileno())
