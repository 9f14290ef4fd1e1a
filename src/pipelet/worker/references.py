"""The pictures that an edit starts from: out of the blob store, and as the model looks at them."""

import asyncio
import io
from functools import partial

import numpy as np
from PIL import Image

from pipelet.domain.catalog import Model
from pipelet.domain.errors import NotFound
from pipelet.domain.image import ImageSpec, Reference
from pipelet.domain.ports import BlobStore
from pipelet.domain.sizes import Size
from pipelet.worker.persist import persist
from pipelet.worker.resample import placed, resample

_ADVICE = "Submit the request again."


class ReferenceLost(Exception):
    """The message is for the user."""


async def load_references(spec: ImageSpec, model: Model, blobs: BlobStore, *, request_id: str) -> list[memoryview]:
    """All of them at the same time: uint8, shape (height, width, 3), RGB, at the sizes that `model` looks at.

    A store that is away is asked again until it answers.

    Raises:
        ReferenceLost: one is not there any more, or cannot be read.
    """
    wanted = zip(spec.references, model.looked_at(spec), strict=True)
    loads = [
        asyncio.create_task(_load(number, reference, size, spec, model, blobs, request_id))
        for number, (reference, size) in enumerate(wanted, 1)
    ]
    try:
        return await asyncio.gather(*loads)
    finally:
        for load in loads:
            load.cancel()


async def _load(
    number: int, reference: Reference, size: Size, spec: ImageSpec, model: Model, blobs: BlobStore, request_id: str
) -> memoryview:
    try:
        file = await persist(partial(blobs.get, reference.key), request_id=request_id, what="reading")
    except NotFound as error:
        raise ReferenceLost(f"Picture {number} of the request is not kept any more. {_ADVICE}") from error
    try:
        return await asyncio.to_thread(_read, file, size, spec.size, fills=model.strength > 0)
    except (OSError, SyntaxError, ValueError) as error:  # all of which Pillow raises
        raise ReferenceLost(f"Picture {number} of the request was damaged in our store. {_ADVICE}") from error


def _read(file: bytes, size: Size, asked: Size, *, fills: bool) -> memoryview:
    with Image.open(io.BytesIO(file), formats=["PNG"]) as image:
        pixels = np.asarray(image.convert("RGB"))
    shown = placed(pixels, asked, size) if fills else resample(pixels, size)
    return np.ascontiguousarray(shown).data
