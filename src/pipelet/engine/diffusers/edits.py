"""Edits: which pipeline generates them, and how it gets the input images."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import InvalidInput, ModelLoadError
from pipelet.domain.generation.plan import GenerationPlan, schedule_steps
from pipelet.domain.generation.sizes import Size
from pipelet.engine.diffusers.devices import BFLOAT16_ONLY
from pipelet.engine.diffusers.loading.pipeline import sibling

_MIN_SIDE = 64
_MAX_ASPECT_RATIO = 8
"""Longest side divided by the shortest. diffusers' pipelines for several images refuse more than either limit."""


@dataclass(frozen=True, slots=True)
class Editor:
    """The pipeline of a model that edits images."""

    pipe: Any
    model: ModelConfig

    @classmethod
    def from_pipeline(cls, loaded: Any, model: ModelConfig) -> "Editor | None":
        """Return one on the weights of `loaded`; None where the model does not edit.

        Raises:
            ModelLoadError: the pipeline does not do what the catalog says of it.
        """
        if model.max_input_images == 0:
            if any(word in type(loaded).__name__ for word in ("Edit", "Img2Img", "Inpaint")):
                raise ModelLoadError(
                    f"{type(loaded).__name__} only edits. Give the model an entry in the catalog that says so, "
                    "with requires_input_image and max_input_images, and name it in an image-edit app."
                )
            return None
        pipe = sibling(loaded, model.edit_pipeline, asked_by="edit_pipeline") if model.edit_pipeline else loaded
        _check(pipe, model)
        return cls(pipe, model)

    def arguments(
        self, asked: dict[str, Any], plan: GenerationPlan, input_images: Sequence[NDArray[np.uint8]]
    ) -> dict[str, Any]:
        """Return the arguments of an edit, from those of a generation without input images.

        Raises:
            InvalidInput: one of the images has a shape that the pipeline does not take, or there are too many.
        """
        if len(input_images) > self.model.max_input_images:
            raise InvalidInput(f"The model edits {_images(self.model.max_input_images)}, and got {len(input_images)}.")
        strength = plan.edit_strength
        if strength is None:
            return asked | {"image": [_to_pil(number, pixels) for number, pixels in enumerate(input_images, 1)]}
        first = _pad_to_canvas(input_images[0], plan.native.size, Size(asked["width"], asked["height"]))
        return asked | {
            # One for each image: a single one would be encoded with the noise of image 0 for all of them.
            "image": [first] * len(asked["prompt"]),
            "strength": strength,
            "num_inference_steps": schedule_steps(plan.spec.num_inference_steps, strength),
        }


def _check(pipe: Any, model: ModelConfig) -> None:
    name = type(pipe).__name__
    takes = inspect.signature(type(pipe).__call__).parameters
    if "image" not in takes:
        raise ModelLoadError(
            f"The catalog says that the model edits {_images(model.max_input_images)}, and {name} takes none. "
            "Name one that does as its edit_pipeline, or take max_input_images out."
        )
    if "strength" in takes and (model.max_input_images > 1 or model.strength == 0):
        raise ModelLoadError(
            f"{name} generates over one image: its entry in the catalog needs max_input_images = 1, and a strength."
        )
    if "strength" not in takes and model.strength > 0:
        raise ModelLoadError(f"{name} takes no strength. Take it out of the model's entry in the catalog.")
    if name == BFLOAT16_ONLY and pipe.dtype != torch.bfloat16:
        raise ModelLoadError(f'{name} encodes images as bfloat16 whatever it is loaded as: set dtype = "bfloat16".')


def _to_pil(number: int, pixels: NDArray[np.uint8]) -> Image.Image:
    """Return input image `number`, scaled up if it is tiny."""
    image = Image.fromarray(pixels)
    short, long = sorted(image.size)
    if long > _MAX_ASPECT_RATIO * short:
        raise InvalidInput(
            f"Image {number} is {image.width}x{image.height}; the model takes none with one side more "
            f"than {_MAX_ASPECT_RATIO} times the other. Crop it."
        )
    if short >= _MIN_SIDE:
        return image
    scale = _MIN_SIDE / short
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def _pad_to_canvas(pixels: NDArray[np.uint8], size: Size, canvas: Size) -> Image.Image:
    """Return the image at `size` in the middle of `canvas`, with mirrored edges, which are cropped from the result."""
    image = ImageOps.fit(Image.fromarray(pixels), (size.width, size.height), Image.Resampling.LANCZOS)
    wide, high = canvas.width - size.width, canvas.height - size.height
    edges = ((high // 2, high - high // 2), (wide // 2, wide - wide // 2), (0, 0))
    return Image.fromarray(np.pad(np.asarray(image), edges, mode="symmetric"))


def _images(count: int) -> str:
    return "one image" if count == 1 else f"up to {count} images"
