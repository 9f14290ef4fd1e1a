"""Pictures pass between the child and the parent through shared memory that no death can leak.

A slot is a file without a name: when the last process that has it open is gone, so is the file.
"""

import asyncio
import math
import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int, int]
"""Images, height, width, 3."""


class Slots:
    """The slots of one child. Belongs to one event loop: take and release there."""

    def __init__(self, count: int) -> None:
        self.descriptors = [_open_unnamed() for _ in range(count)]
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for slot in range(count):
            self._free.put_nowait(slot)

    async def take(self) -> int:
        """Wait for a free slot."""
        return await self._free.get()

    def give_back(self, slot: int) -> None:
        self._free.put_nowait(slot)

    def make_room(self, slot: int, shape: Shape) -> None:
        # A slot never shrinks: reading a mapped page that was cut off kills the reader, and somebody
        # might still hold a view of a picture that was released.
        descriptor = self.descriptors[slot]
        if os.fstat(descriptor).st_size < _size(shape):
            os.ftruncate(descriptor, _size(shape))

    def view(self, slot: int, shape: Shape) -> memoryview:
        """The pixels, read-only. They stay readable after `close`."""
        mapped = mmap.mmap(self.descriptors[slot], _size(shape), prot=mmap.PROT_READ)
        return memoryview(mapped).cast("B", shape)

    def close(self) -> None:
        """Let go of the files, once; views that were handed out keep theirs."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


class Inbox:
    """The references of the drawing that comes next, one behind the other."""

    def __init__(self) -> None:
        self.descriptor = _open_unnamed()

    async def fill(self, pictures: Sequence[memoryview]) -> None:
        """Nobody may be reading the pictures before."""
        offset = 0
        for picture in pictures:
            os.pwrite(self.descriptor, picture.cast("B"), offset)
            offset += picture.nbytes
            await asyncio.sleep(0)  # leases want to be extended meanwhile

    def close(self) -> None:
        """Safe to call twice."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@dataclass(slots=True)
class Release:
    """Gives a slot back, once however often it is called."""

    give_back: Callable[[int], None]
    slot: int
    done: bool = False

    def __call__(self) -> None:
        if not self.done:
            self.done = True
            self.give_back(self.slot)


def writable(descriptor: int, shape: Shape) -> NDArray[np.uint8]:
    """The child's side of a slot."""
    return np.frombuffer(mmap.mmap(descriptor, _size(shape)), np.uint8).reshape(shape)


def readable(descriptor: int, shapes: Sequence[tuple[int, int, int]]) -> list[NDArray[np.uint8]]:
    """The child's side of the inbox."""
    if not shapes:
        return []
    mapped, offset, pictures = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ), 0, []
    for shape in shapes:
        pixels = np.frombuffer(mapped, np.uint8, count=math.prod(shape), offset=offset)
        pictures.append(pixels.reshape(shape))
        offset += pixels.nbytes
    return pictures


def _size(shape: Shape) -> int:
    images, height, width, channels = shape
    return images * height * width * channels


def _open_unnamed() -> int:
    if hasattr(os, "memfd_create"):
        # Not /dev/shm: containers give it 64 MB, and writing past that kills the writer.
        return os.memfd_create("pipelet-pixels", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(prefix="pipelet-pixels-") as file:
        return os.dup(file.fileno())
