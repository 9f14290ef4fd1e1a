"""Edits: which pipeline draws them, and how it is given the pictures that they start from."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipelet.domain import refining
from pipelet.domain.catalog import Model
from pipelet.domain.errors import DrawRefused, ModelUnusable
from pipelet.domain.image import ImageSpec
from pipelet.domain.sizes import Size
from pipelet.engine.devices import BFLOAT16_ALONE
from pipelet.engine.loading import sibling

_SMALLEST_SIDE = 64
_LARGEST_RATIO = 8
"""Of the sides. Both are what diffusers' pipelines for several pictures refuse to go beyond."""


@dataclass(frozen=True, slots=True)
class Editor:
    """The pipeline of a model that draws edits."""

    pipe: Any
    model: Model

    @classmethod
    def of(cls, drawing: Any, model: Model) -> "Editor | None":
        """On the weights of `drawing`; None where the model draws no edits.

        Raises:
            ModelUnusable: the pipeline does not do what the catalog says of it.
        """
        if model.max_references == 0:
            if any(word in type(drawing).__name__ for word in ("Edit", "Img2Img", "Inpaint")):
                raise ModelUnusable(
                    f"{type(drawing).__name__} draws edits only. Give the model an entry in the catalog that says so, "
                    "with needs_references and max_references, and name it in an image-edit app."
                )
            return None
        pipe = sibling(drawing, model.edit_pipeline, asked_by="edit_pipeline") if model.edit_pipeline else drawing
        _check(pipe, model)
        return cls(pipe, model)

    def arguments(
        self, asked: dict[str, Any], spec: ImageSpec, references: Sequence[NDArray[np.uint8]]
    ) -> dict[str, Any]:
        """What `asked` of a picture from nothing becomes for an edit.

        Raises:
            DrawRefused: one of the pictures is of a shape that the pipeline does not take, or there are too many.
        """
        if len(references) > self.model.max_references:
            raise DrawRefused(f"The model edits {_pictures(self.model.max_references)}, and got {len(references)}.")
        strength = self.model.strength_of(spec)
        if strength is None:
            return asked | {"image": [_shown(number, pixels) for number, pixels in enumerate(references, 1)]}
        first = _filling(references[0], spec.size, Size(asked["width"], asked["height"]))
        return asked | {
            # One for each image: a single one would be encoded with the noise of image 0 for all of them.
            "image": [first] * len(asked["prompt"]),
            "strength": strength,
            "num_inference_steps": refining.schedule(spec.num_inference_steps, strength),
        }


def _check(pipe: Any, model: Model) -> None:
    name = type(pipe).__name__
    takes = inspect.signature(type(pipe).__call__).parameters
    if "image" not in takes:
        raise ModelUnusable(
            f"The catalog says that the model edits {_pictures(model.max_references)}, and {name} takes none. "
            "Name one that does as its edit_pipeline, or take max_references out."
        )
    if "strength" in takes and (model.max_references > 1 or model.strength == 0):
        raise ModelUnusable(
            f"{name} draws over one picture: its entry in the catalog needs max_references = 1, and a strength."
        )
    if "strength" not in takes and model.strength > 0:
        raise ModelUnusable(f"{name} takes no strength. Take it out of the model's entry in the catalog.")
    if name == BFLOAT16_ALONE and pipe.dtype != torch.bfloat16:
        raise ModelUnusable(f'{name} encodes pictures as bfloat16 whatever it is loaded as: set dtype = "bfloat16".')


def _shown(number: int, pixels: NDArray[np.uint8]) -> Image.Image:
    """Picture `number`, as it is, or where it is tiny, scaled up."""
    picture = Image.fromarray(pixels)
    short, long = sorted(picture.size)
    if long > _LARGEST_RATIO * short:
        raise DrawRefused(
            f"Picture {number} is {picture.width}x{picture.height}; the model takes none of which one side is more "
            f"than {_LARGEST_RATIO} times the other. Crop it."
        )
    if short >= _SMALLEST_SIDE:
        return picture
    scale = _SMALLEST_SIDE / short
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)


def _filling(pixels: NDArray[np.uint8], size: Size, canvas: Size) -> Image.Image:
    """In the middle of `canvas`, from which what is drawn will be cropped, at `size`; around it, its mirrored edges."""
    picture = Image.fromarray(pixels)
    if picture.size != (size.width, size.height):
        picture = ImageOps.fit(picture, (size.width, size.height), Image.Resampling.LANCZOS)
    wide, high = canvas.width - size.width, canvas.height - size.height
    edges = ((high // 2, high - high // 2), (wide // 2, wide - wide // 2), (0, 0))
    return Image.fromarray(np.pad(np.asarray(picture), edges, mode="symmetric"))


def _pictures(count: int) -> str:
    return "one picture" if count == 1 else f"up to {count} pictures"
