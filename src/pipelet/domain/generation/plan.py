"""How a model generates the images of a spec: sizes, passes, steps and micro-batches."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.generation.sizes import Size, fit_to_pixel_range, nearest_size, shrink_to_pixels

_MAX_INPUT_PIXELS = 1024 * 1024
"""Pixels of an input image: every pipeline that takes several would itself scale it down to this."""
_MIN_STRENGTH = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPlan:
    """Everything that follows from a spec and its model. Make it with `plan_generation`, once per job."""

    spec: ImageSpec
    model: ModelConfig
    native: ImageSpec
    """The spec at the size of the first pass: its own where the model was trained for that."""
    output: ImageSpec
    """The spec at the size that leaves the engine: that of the last pass."""
    denoise_steps: int
    """Steps of the first pass: fewer than the spec's where an edit keeps some of its input image."""
    edit_strength: float | None
    """Share of the input image that is generated new; None without one, or where the prompt alone decides."""
    refine_steps: int
    """Steps of the second pass, at the size that was requested; 0 where there is none."""
    input_image_sizes: tuple[Size, ...]
    """Sizes at which the model receives the input images."""
    memory_megapixels: float
    """Megapixels of one image, out of `max_megapixels_per_batch`. Input images are held next to what is generated,
    unless it starts as one of them."""

    def batch_sizes(self, max_megapixels_per_batch: float) -> list[int]:
        """Return the number of images of each micro-batch, as even as possible: 4 images where 3 fit make [2, 2].

        A single image is always generated, whatever its size: whether it fits is then for the device to say.
        """
        fitting = max(1, int(max_megapixels_per_batch / self.memory_megapixels))
        batches = -(-self.spec.batch_size // fitting)
        smaller, larger = divmod(self.spec.batch_size, batches)
        return [smaller + 1] * larger + [smaller] * (batches - larger)


def plan_generation(spec: ImageSpec, model: ModelConfig) -> GenerationPlan:
    size = native_size(spec.size, model)
    native = spec if size == spec.size else replace(spec, width=size.width, height=size.height)
    strength = _edit_strength(spec, model)
    refine_steps = 0
    if model.refine_strength > 0 and native.megapixels < spec.megapixels:
        refine_steps = steps_run(spec.num_inference_steps, model.refine_strength)
    output = spec if refine_steps else native
    steps = spec.num_inference_steps
    if model.strength > 0:  # the image starts as its input image
        inputs = (size,) * len(spec.input_images)
        memory = output.megapixels
    else:
        inputs = tuple(_input_image_size(each.size, model) for each in spec.input_images)
        memory = output.megapixels + sum(each.megapixels for each in inputs)
    return GenerationPlan(
        spec=spec,
        model=model,
        native=native,
        output=output,
        denoise_steps=steps if strength is None else steps_run(steps, strength),
        edit_strength=strength,
        refine_steps=refine_steps,
        input_image_sizes=inputs,
        memory_megapixels=memory,
    )


@lru_cache(maxsize=1024)  # every submit asks, and most ask for the same few sizes
def native_size(requested: Size, model: ModelConfig) -> Size:
    """Return the size at which `model` generates an image of the size `requested`: one that it was trained for."""
    whole = requested.rounded_up(model.size_multiple)
    if model.native_sizes:
        sizes = tuple(map(Size.parse, model.native_sizes))
        return requested if whole in sizes else nearest_size(requested, sizes)
    if model.native_pixels:
        low, high = model.native_pixels
        if not low <= whole.pixels <= high:
            return fit_to_pixel_range(requested, (low, high), model.size_multiple)
    return requested


def schedule_steps(steps: int, strength: float) -> int:
    """Return the steps of the whole schedule of an image-to-image pass, which runs the last ones.

    These are `steps`, or as many as make `strength` at least one of them. In a shorter schedule the first step would
    run as well, and nothing would be left of the input image.
    """
    return max(steps, math.ceil(1 / strength))


def steps_run(steps: int, strength: float) -> int:
    """Return the steps that an image-to-image pass runs, rounded as diffusers' flow-matching pipelines do."""
    whole = schedule_steps(steps, strength)
    return whole - int(whole - whole * strength)


def _input_image_size(size: Size, model: ModelConfig) -> Size:
    """Return the size at which a model that reads its input images in every step receives one of `size`."""
    if model.input_image_size:
        return Size.parse(model.input_image_size)
    return shrink_to_pixels(size, _MAX_INPUT_PIXELS)


def _edit_strength(spec: ImageSpec, model: ModelConfig) -> float | None:
    if model.strength == 0 or not spec.input_images:
        return None
    return model.strength if spec.strength is None else max(spec.strength, _MIN_STRENGTH)
