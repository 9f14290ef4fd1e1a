"""Loads input images from the blob store, at the sizes that the model receives."""

import asyncio
import io
from functools import partial

import numpy as np
from PIL import Image

from pipelet.domain.errors import NotFound
from pipelet.domain.generation.image import InputImage
from pipelet.domain.generation.plan import GenerationPlan
from pipelet.domain.generation.sizes import Size
from pipelet.domain.ports.blobs import BlobStore
from pipelet.worker.images.resample import fit_inside, place_on_canvas, resample
from pipelet.worker.storage_retry import retry_until_stored

_ADVICE = "Submit the request again."


class InputImageLost(Exception):
    """The message is for the user."""


async def load_input_images(plan: GenerationPlan, blobs: BlobStore) -> list[memoryview]:
    """Load all input images concurrently: uint8, shape (height, width, 3), RGB, at the sizes of `plan`.

    While the blob store is unavailable, the reads are retried.

    Raises:
        InputImageLost: one is deleted or damaged.
    """
    sizes = zip(plan.spec.input_images, plan.input_image_sizes, strict=True)
    loads = [
        asyncio.create_task(_load(number, image, size, plan, blobs)) for number, (image, size) in enumerate(sizes, 1)
    ]
    try:
        return await asyncio.gather(*loads)
    finally:
        for load in loads:
            load.cancel()


async def _load(number: int, image: InputImage, size: Size, plan: GenerationPlan, blobs: BlobStore) -> memoryview:
    try:
        file = await retry_until_stored(partial(blobs.get, image.key), operation="reading")
    except NotFound as error:
        raise InputImageLost(f"Input image {number} of the request is no longer stored. {_ADVICE}") from error
    try:
        return await asyncio.to_thread(_read, file, size, plan)
    except (OSError, SyntaxError, ValueError) as error:  # all of these come from Pillow
        raise InputImageLost(f"Input image {number} of the request is damaged in the blob store. {_ADVICE}") from error


def _read(file: bytes, size: Size, plan: GenerationPlan) -> memoryview:
    with Image.open(io.BytesIO(file), formats=["PNG"]) as image:
        pixels = np.asarray(image.convert("RGB"))
    if plan.model.strength > 0:
        pixels = place_on_canvas(pixels, plan.spec.size, size)
    elif plan.model.input_image_size:
        pixels = fit_inside(pixels, size)
    else:
        pixels = resample(pixels, size)
    return np.ascontiguousarray(pixels).data
