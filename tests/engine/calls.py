"""Calls that the tests of the engine share, and the types of their fixtures."""

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.ports.engine import MicroBatch
from pipelet.engine.engine_process import EngineProcess

Pixels = NDArray[np.uint8]
MakeSpec = Callable[..., ImageSpec]
MakePart = Callable[..., MicroBatch]
EngineOf = Callable[..., AbstractAsyncContextManager[EngineProcess]]


def ignore(_: Any) -> None:
    pass


async def generated(engine: EngineProcess, part: MicroBatch) -> Pixels:
    """The pixels, copied, and the slot released."""
    result = await engine.generate(part, ignore)
    pixels = np.array(result.pixels)
    result.release()
    return pixels


def is_alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
