"""Generates with a diffusers pipeline: any text-to-image or edit class, loaded from a folder or the hub."""

import inspect
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import InvalidInput, ModelLoadError, OutOfMemory
from pipelet.domain.generation.image import ImageSpec, InputImage, OutputFormat
from pipelet.domain.generation.plan import GenerationPlan, plan_generation, schedule_steps
from pipelet.domain.ports.engine import EffectiveParameters
from pipelet.engine.backend import GenerationReport, Previews
from pipelet.engine.diffusers import device_memory
from pipelet.engine.diffusers.callbacks import StepCallbacks
from pipelet.engine.diffusers.devices import describe, find_device, notes_on
from pipelet.engine.diffusers.edits import Editor
from pipelet.engine.diffusers.loading.pipeline import load_pipeline, sibling
from pipelet.engine.diffusers.pipeline_kwargs import pipeline_kwargs
from pipelet.engine.diffusers.previews import StepPreviews, renderer_of
from pipelet.engine.diffusers.prompts import PromptProcessor
from pipelet.engine.diffusers.samplers import sampler_of, schedule_type_of
from pipelet.engine.diffusers.verify_output import check_finite, images_of, warm_up_error

_WARM_UP_SIZE = 128, 64
"""Pixels: small, and not square, so that swapped sides are noticed."""


class DiffusersBackend:
    """A `backend.Backend`."""

    def __init__(self, pipe: Any, model: ModelConfig, device: torch.device) -> None:
        self.device = describe(device)
        self.notes = notes_on(model, device)
        self._model = model
        self._pipe = pipe
        # The image-to-image pipeline of the same model, on the same weights.
        name = type(pipe).__name__.removesuffix("Pipeline") + "Img2ImgPipeline"
        self._refiner = sibling(pipe, name, asked_by="refine_strength") if model.refine_strength > 0 else None
        self._editor = Editor.from_pipeline(pipe, model)
        self._denoiser = getattr(pipe, "transformer", None) or getattr(pipe, "unet", None)
        processor = getattr(pipe, "image_processor", None)
        self._multiple = math.lcm(model.size_multiple, processor.config.vae_scale_factor if processor else 1)
        self._largest_side = _largest_side(pipe)
        self._prompts = PromptProcessor.from_pipeline(pipe, model)
        self._renderer = renderer_of(pipe, model, device)

    @classmethod
    def load(cls, *, model: ModelConfig, source: str, device: str) -> Self:
        where = find_device(device)
        pipe = load_pipeline(source, model, where)
        takes = inspect.signature(type(pipe).__call__).parameters
        if "prompt" not in takes:
            raise ModelLoadError(f"{type(pipe).__name__} takes no prompt; Pipelet needs a text-to-image pipeline.")
        if "num_frames" in takes:  # known before the first generation, which would be of many frames
            raise ModelLoadError(f"{type(pipe).__name__} generates videos; Pipelet needs a text-to-image pipeline.")
        device_memory.place(pipe, where)
        pipe.set_progress_bar_config(disable=True)
        if hasattr(getattr(pipe, "vae", None), "enable_slicing"):
            # Image by image: less memory, and an image does not depend on the batch it was in.
            pipe.vae.enable_slicing()
        made = cls(pipe, model, where)
        made.warm_up()
        return made

    def warm_up(self) -> None:
        """Generate once, small and in few steps: a model without an image is found before the first request.

        Raises:
            ModelLoadError: no image results.
        """
        try:
            try:
                self._generate_small(steps=1)
            except ValueError:  # PNDM with Runge-Kutta steps needs four
                self._generate_small(steps=4)
        except Exception as error:
            if device_memory.is_out_of_memory(error):
                raise ModelLoadError(device_memory.too_small_error(self._pipe, self._pipe.device)) from error
            raise warm_up_error(error, self._pipe) from error

    def _generate_small(self, *, steps: int) -> None:
        width, height = _WARM_UP_SIZE
        input_images = [np.full((height, width, 3), 128, np.uint8)] if self._model.requires_input_image else []
        spec = ImageSpec(
            prompt="a red fox",
            negative_prompt=None,
            width=width,
            height=height,
            batch_size=1,
            seed=0,
            num_inference_steps=steps,
            guidance_scale=self._model.guidance_scale,
            output_format=OutputFormat.PNG,
            input_images=tuple(InputImage(key="", width=width, height=height) for _ in input_images),
        )
        # At this size, whatever the native ones are.
        plan = replace(plan_generation(spec, self._model), native=spec)
        only = self._first_pass(plan, 0, 1, input_images)
        images, _ = self._run(only, None, StepCallbacks(lambda done: None, lambda: False))
        check_finite(images, self._pipe.dtype)

    def generate(
        self,
        *,
        spec: ImageSpec,
        first: int,
        count: int,
        input_images: Sequence[NDArray[np.uint8]],
        out: NDArray[np.uint8],
        on_progress: Callable[[int], None],
        is_cancelled: Callable[[], bool],
        previews: Previews | None = None,
    ) -> GenerationReport:
        notes: list[str] = []
        spec = self._prompts.prepare(spec, notes)
        passes = self._passes(spec, first, count, input_images)
        watch = StepCallbacks(on_progress, is_cancelled, self._step_previews(previews, first))
        try:
            images, flagged = self._run(passes[0], None, watch)
            for each in passes[1:]:
                watch.end_pass()
                images, flagged = self._run(each, images, watch)
            watch.check()
            _copy_pixels(images, out, self._pipe.dtype)
        except RuntimeError as error:
            if device_memory.is_out_of_memory(error):
                problem = str(error)
            elif isinstance(error, torch.AcceleratorError):
                # An assert on the device spoils its context for good. Only another process gets a new one.
                raise SystemExit(f"The device failed: {error}") from error
            else:
                raise
        else:
            watch.end_pass()
            return GenerationReport(
                used=_effective_parameters(passes[0], spec), has_nsfw_concepts=flagged, notes=tuple(notes)
            )
        # Here, because the handled error kept the tensors alive.
        device_memory.release_cache()
        raise OutOfMemory(problem)

    def _step_previews(self, previews: Previews | None, first: int) -> StepPreviews | None:
        if previews is None or self._renderer is None:
            return None
        return StepPreviews(self._renderer, previews, first=first)

    def _run(
        self, each: "_Pass", previous: torch.Tensor | None, watch: StepCallbacks
    ) -> tuple[torch.Tensor, tuple[bool, ...]]:
        """Images and which of them a safety checker blacked out.

        float, shape (count, 3, height, width), values 0 to 1, on the device. `previous` are those of the last pass.
        """
        width, height = each.arguments["width"], each.arguments["height"]
        watch.begin_pass(each.steps, width, height, encodings=each.encodings)
        asked = each.arguments | {"callback_on_step_end": watch.after_step}
        if previous is not None:
            asked["image"] = _resize_to_cover(previous, asked["width"], asked["height"])
        with ExitStack() as hooks:
            if self._denoiser is not None:
                hooks.enter_context(self._denoiser.register_forward_pre_hook(watch.before_forward))
            if each.encodings > 1:
                hooks.enter_context(self._pipe.vae.encoder.register_forward_pre_hook(watch.before_image))
            output = each.pipe(**pipeline_kwargs(each.pipe, asked))
        images = images_of(each.pipe, output)
        if images.shape[2:] != (asked["height"], asked["width"]):  # some pipelines choose a size of their own
            images = _resize_to_cover(images, asked["width"], asked["height"])
        return images, tuple(map(bool, getattr(output, "nsfw_content_detected", None) or ()))

    def _passes(
        self, spec: ImageSpec, first: int, count: int, input_images: Sequence[NDArray[np.uint8]]
    ) -> list["_Pass"]:
        """One, or where the model refines, two; InvalidInput for what would crash in any of them."""
        plan = plan_generation(spec, self._model)
        if not plan.refine_steps:
            # The spec has the size that leaves the engine already.
            return [self._first_pass(replace(plan, native=spec), first, count, input_images)]
        strength = self._model.refine_strength
        second = self._arguments(spec, first, count) | {
            "strength": strength,
            "num_inference_steps": schedule_steps(spec.num_inference_steps, strength),
        }
        return [
            self._first_pass(plan, first, count, input_images),
            _Pass(self._refiner, plan.refine_steps, second),
        ]

    def _first_pass(
        self, plan: GenerationPlan, first: int, count: int, input_images: Sequence[NDArray[np.uint8]]
    ) -> "_Pass":
        arguments = self._arguments(plan.native, first, count)
        if input_images:
            if self._editor is None:
                raise InvalidInput("The model does not edit: it takes no input images.")
            edit = self._editor.arguments(arguments, plan, input_images)
            return _Pass(self._editor.pipe, plan.denoise_steps, edit, encodings=2)
        if self._model.requires_input_image:
            raise InvalidInput("The model only edits: it needs an input image.")
        return _Pass(self._pipe, plan.denoise_steps, arguments)

    def _arguments(self, spec: ImageSpec, first: int, count: int) -> dict[str, Any]:
        """What the pipeline takes of what a request says; InvalidInput for what would crash in it."""
        width, height = (math.ceil(side / self._multiple) * self._multiple for side in (spec.width, spec.height))
        if max(width, height) > self._largest_side:
            raise InvalidInput(
                f"The model generates at most {self._largest_side:.0f} pixels a side, "
                f"and {spec.width}x{spec.height} was asked for."
            )
        if spec.num_inference_steps < 1:
            raise InvalidInput("An image takes at least one step.")
        return {
            # New lists for each call: Z-Image writes into them.
            "prompt": [spec.prompt] * count,
            "negative_prompt": None if spec.negative_prompt is None else [spec.negative_prompt] * count,
            "width": width,
            "height": height,
            "num_inference_steps": spec.num_inference_steps,
            "guidance_scale": spec.guidance_scale,
            # One for each image, on the CPU: the noise of image k is the same on every device and in every batch.
            "generator": [torch.Generator("cpu").manual_seed(spec.seed + first + k) for k in range(count)],
            "output_type": "pt",
            **self._prompts.arguments(spec),
        }


@dataclass(frozen=True, slots=True)
class _Pass:
    """A call of a pipeline."""

    pipe: Any
    steps: int
    """As they are counted; the pipeline may see another number."""
    arguments: dict[str, Any]
    """By our names."""
    encodings: int = 1
    """Tasks before the first step."""


def _effective_parameters(first: _Pass, spec: ImageSpec) -> EffectiveParameters:
    """Asked after the pipeline was called, which sets what it guides by."""
    pipe, given = first.pipe, pipeline_kwargs(first.pipe, first.arguments)
    if "true_cfg_scale" in inspect.signature(type(pipe).__call__).parameters:
        guides = given.get("true_cfg_scale", 1) > 1
    else:
        guides = getattr(pipe, "do_classifier_free_guidance", spec.guidance_scale > 1)
    scheduler = getattr(pipe, "scheduler", None)
    return EffectiveParameters(
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt if guides and "negative_prompt" in given else None,
        sampler=sampler_of(scheduler),
        schedule_type=schedule_type_of(scheduler),
    )


def _copy_pixels(images: torch.Tensor, out: NDArray[np.uint8], dtype: torch.dtype) -> None:
    """Crop the middle and round as the pipelines' way to PIL does, on the device: a quarter of the bytes to fetch.

    Raises:
        GenerationFailed: a value is no number.
    """
    height, width = out.shape[1:3]
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    for image, target in zip(images, out, strict=True):
        check_finite(image, dtype)
        cropped = image[:, top : top + height, left : left + width].permute(1, 2, 0)
        torch.from_numpy(target).copy_((cropped.float() * 255).round().to(torch.uint8))


def _resize_to_cover(images: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """The middle of `images`, scaled to that size."""
    scale = max(width / images.shape[3], height / images.shape[2])
    high, wide = round(height / scale), round(width / scale)
    top, left = (images.shape[2] - high) // 2, (images.shape[3] - wide) // 2
    visible = images[:, :, top : top + high, left : left + wide].float()
    return torch.nn.functional.interpolate(visible, (height, width), mode="bicubic", antialias=True).clamp(0, 1)


def _largest_side(pipe: Any) -> float:
    """Z-Image looks positions up in a table. Beyond its end a CPU raises, and a GPU is lost for the process."""
    positions = getattr(getattr(pipe, "transformer", None), "config", {}).get("axes_lens")
    if not positions:
        return math.inf
    return float(min(positions[1:]) * pipe.image_processor.config.vae_scale_factor)
