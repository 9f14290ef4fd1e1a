"""Draws with a diffusers pipeline: any text-to-image class, loaded from a folder or the hub. The only user of torch."""

import inspect
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import diffusers
import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from pipelet.domain import refining
from pipelet.domain.catalog import Model
from pipelet.domain.errors import DrawCancelled, DrawOutOfMemory, DrawRefused, ModelUnusable
from pipelet.domain.image import ImageSpec
from pipelet.engine import checkpoint
from pipelet.engine.prompts import Prompts

# What torch says where the memory of the machine, not of a GPU, is too small; it has no class of its own.
_CPU_OUT_OF_MEMORY = "DefaultCPUAllocator"


class DiffusersModel:
    """A `painter.Painter`."""

    def __init__(self, pipe: Any, model: Model, device: torch.device) -> None:
        self.device = _in_words(device)
        self._model = model
        self._pipe = pipe
        self._refiner = _image_to_image(pipe) if model.refine_strength > 0 else None
        self._denoiser = getattr(pipe, "transformer", None) or getattr(pipe, "unet", None)
        self._multiple = _multiple(pipe, model)
        self._largest_side = _largest_side(pipe)
        self._prompts = Prompts.of(pipe, model)

    @classmethod
    def load(cls, *, model: Model, source: str, device: str, threads: int | None) -> Self:
        where = _device(device)
        # Left alone, torch takes a thread for each core, which is right for large pictures.
        if threads is not None:
            torch.set_num_threads(threads)
        pipe = _load_pipeline(source, model)
        if "prompt" not in inspect.signature(type(pipe).__call__).parameters:
            raise ModelUnusable(f"{type(pipe).__name__} takes no prompt; Pipelet needs a text-to-image pipeline.")
        pipe.to(where)
        pipe.set_progress_bar_config(disable=True)
        if hasattr(getattr(pipe, "vae", None), "enable_slicing"):
            # Image by image: less memory, and an image does not depend on the batch it was in.
            pipe.vae.enable_slicing()
        return cls(pipe, model, where)

    def draw(
        self,
        *,
        spec: ImageSpec,
        first: int,
        count: int,
        out: NDArray[np.uint8],
        on_task: Callable[[int], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        spec = self._prompts.fitted(spec)
        passes = self._passes(spec, first, count)
        watch = _Watch(on_task, is_cancelled)
        try:
            images = self._run(passes[0], None, watch)
            for each in passes[1:]:
                watch.end_pass()
                images = self._run(each, images, watch)
            watch.check()
            _copy(images, out)
        except torch.OutOfMemoryError as error:
            problem = str(error)
        except torch.AcceleratorError as error:
            # An assert on the device spoils its context for good. Only another process gets a new one.
            raise SystemExit(f"The device failed: {error}") from error
        except RuntimeError as error:
            if _CPU_OUT_OF_MEMORY not in str(error):
                raise
            problem = str(error)
        else:
            watch.end_pass()
            return
        # Here, because the handled error kept the tensors alive.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise DrawOutOfMemory(problem)

    def _run(self, each: "_Pass", drawn: torch.Tensor | None, watch: "_Watch") -> torch.Tensor:
        """float, shape (count, 3, height, width), values 0 to 1, on the device. `drawn` are the last pass's."""
        watch.begin_pass(each.steps)
        arguments = each.arguments | {"callback_on_step_end": watch.after_step}
        if drawn is not None:
            arguments["image"] = _covering(drawn, arguments["width"], arguments["height"])
        accepted = inspect.signature(type(each.pipe).__call__).parameters
        arguments = {name: value for name, value in arguments.items() if name in accepted and value is not None}
        denoiser = self._denoiser
        with denoiser.register_forward_pre_hook(watch.before_forward) if denoiser is not None else nullcontext():
            return each.pipe(**arguments).images

    def _passes(self, spec: ImageSpec, first: int, count: int) -> list["_Pass"]:
        """One, or where the model refines, two; DrawRefused for what would crash in any of them."""
        asked = self._arguments(spec, first, count)
        refine_steps = self._model.refine_steps(spec)
        if not refine_steps:
            return [_Pass(self._pipe, spec.num_inference_steps, asked)]
        strength = self._model.refine_strength
        second = asked | {
            "strength": strength,
            "num_inference_steps": refining.schedule(spec.num_inference_steps, strength),
        }
        return [
            _Pass(self._pipe, spec.num_inference_steps, self._arguments(self._model.drawn(spec), first, count)),
            _Pass(self._refiner, refine_steps, second),
        ]

    def _arguments(self, spec: ImageSpec, first: int, count: int) -> dict[str, Any]:
        """What the pipeline takes of what a request says; DrawRefused for what would crash in it."""
        width, height = (math.ceil(side / self._multiple) * self._multiple for side in (spec.width, spec.height))
        if max(width, height) > self._largest_side:
            raise DrawRefused(
                f"The model draws at most {self._largest_side:.0f} pixels a side, "
                f"and {spec.width}x{spec.height} was asked for."
            )
        if spec.num_inference_steps < 1:
            raise DrawRefused("A picture takes at least one step.")
        return {
            # Lists that nobody else has: Z-Image writes into them.
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
    """Of which the pipeline is given those that it takes."""


class _Watch:
    """Counts the tasks of one drawing, pass by pass, and stops it where it is told to."""

    def __init__(self, on_task: Callable[[int], None], is_cancelled: Callable[[], bool]) -> None:
        self._on_task = on_task
        self._is_cancelled = is_cancelled
        self._done = 0
        self._before = 0
        self._steps = 0

    def begin_pass(self, steps: int) -> None:
        self._before = self._done
        self._steps = steps

    def end_pass(self) -> None:
        self._reach(self._steps + 2)

    def check(self) -> None:
        # Raising is the only clean way out: the pipelines' own `interrupt` still decodes half a picture.
        if self._is_cancelled():
            raise DrawCancelled("Told to stop.")

    def _reach(self, done: int) -> None:
        """`done` of this pass."""
        while self._done < self._before + done:
            self._done += 1
            self._on_task(self._done)

    def before_forward(self, *_: Any) -> None:
        self._reach(1)
        self.check()

    def after_step(self, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        # Second-order schedulers take more steps than were asked for.
        planned = max(getattr(pipe, "num_timesteps", self._steps), 1)
        self._reach(1 + min((step + 1) * self._steps // planned, self._steps))
        self.check()
        return {}


def _copy(images: torch.Tensor, out: NDArray[np.uint8]) -> None:
    """Crop the middle and round as the pipelines' way to PIL does, on the device: a quarter of the bytes to fetch."""
    height, width = out.shape[1:3]
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    for image, target in zip(images, out, strict=True):
        cropped = image[:, top : top + height, left : left + width].permute(1, 2, 0)
        torch.from_numpy(target).copy_((cropped.float() * 255).round().to(torch.uint8))


def _covering(images: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """The middle of `images`, scaled to that size."""
    scale = max(width / images.shape[3], height / images.shape[2])
    high, wide = round(height / scale), round(width / scale)
    top, left = (images.shape[2] - high) // 2, (images.shape[3] - wide) // 2
    visible = images[:, :, top : top + high, left : left + wide].float()
    return torch.nn.functional.interpolate(visible, (height, width), mode="bicubic", antialias=True).clamp(0, 1)


def _load_pipeline(source: str, model: Model) -> Any:
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    folder = checkpoint.check(source)
    pipeline = _pipeline_class(model.pipeline, folder)
    try:
        # Always with a dtype: without one a bfloat16 checkpoint is loaded half as bfloat16, half as float32.
        return pipeline.from_pretrained(
            folder or source, dtype=getattr(torch, model.dtype), local_files_only=folder is not None
        )
    except OSError as error:
        if folder is not None:
            raise ModelUnusable(
                f"The model folder {folder} is incomplete, copy or download it again: {error}"
            ) from error
        raise ModelUnusable(
            f"The model {source} is no folder, and could not be fetched from the hub. Without a way to the hub, "
            f"copy the model into a folder and point PIPELET_MODEL at that. The hub's answer: {error}"
        ) from error


def _pipeline_class(name: str, folder: str | None) -> Any:
    """The named class; `auto` is what the folder says, or for the hub what `DiffusionPipeline` finds there."""
    if name == "auto":
        name = "DiffusionPipeline" if folder is None else checkpoint.pipeline_of(folder)
    found = getattr(diffusers, name, None)
    if not (inspect.isclass(found) and issubclass(found, diffusers.DiffusionPipeline)):
        raise ModelUnusable(
            f"diffusers {diffusers.__version__} has no pipeline class {name}. "
            "Name another one in the catalog's `pipeline`, or install a diffusers that has it."
        )
    return found


def _image_to_image(pipe: Any) -> Any:
    """The image-to-image pipeline of the same model, on the same weights."""
    name = type(pipe).__name__.removesuffix("Pipeline") + "Img2ImgPipeline"
    sibling = getattr(diffusers, name, None)
    if sibling is None:
        raise ModelUnusable(
            f"diffusers {diffusers.__version__} has no {name}, which refine_strength in the catalog asks for. "
            "Take that out, or name another `pipeline`."
        )
    # Not by `from_pipe`, which casts the weights to float32 unless told otherwise, and the other pipeline shares them;
    # nor by `AutoPipelineForImage2Image`, which imports every pipeline there is.
    taken = inspect.signature(sibling.__init__).parameters
    found = sibling(**{name: part for name, part in pipe.components.items() if name in taken})
    found.set_progress_bar_config(disable=True)
    return found


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        wanted = str(found) if found is not None else "cpu"
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelUnusable(
            f"The device {wanted} cannot be used: {str(error).splitlines()[0]} Set PIPELET_DEVICE to cpu or auto."
        ) from error
    return device


def _in_words(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _multiple(pipe: Any, model: Model) -> int:
    processor = getattr(pipe, "image_processor", None)
    of_pipeline = processor.config.vae_scale_factor if processor is not None else 1
    return math.lcm(model.size_multiple, of_pipeline)


def _largest_side(pipe: Any) -> float:
    """Z-Image looks positions up in a table. Beyond its end a CPU raises, and a GPU is lost for the process."""
    positions = getattr(getattr(pipe, "transformer", None), "config", {}).get("axes_lens")
    if not positions:
        return math.inf
    return float(min(positions[1:]) * pipe.image_processor.config.vae_scale_factor)
