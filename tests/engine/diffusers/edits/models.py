"""The models that edit, each with the same pipeline to call plainly, and images to edit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec
from pipelet.engine.diffusers.backend import DiffusersBackend
from tests.engine.calls import Pixels
from tests.engine.diffusers.tiny_models.z_image import TINY

MODELS = {
    "img2img": replace(TINY, edit_pipeline="ZImageImg2ImgPipeline", max_input_images=1, strength=0.6),
    "omni": replace(TINY, pipeline="ZImageOmniPipeline", max_input_images=8),
    "klein": ModelConfig(name="k", source="", pipeline="Flux2KleinPipeline", max_input_images=8, max_prompt_tokens=512),
    "qwen": ModelConfig(
        name="q",
        source="",
        pipeline="QwenImageEditPlusPipeline",
        max_input_images=3,
        requires_input_image=True,
        max_prompt_tokens=1024,
    ),
}
SEVERAL = ["omni", "klein", "qwen"]
"""Those that take several input images."""
STEPS = 3
_random = np.random.default_rng(0)


def noise_image(width: int, height: int) -> Pixels:
    """Large patches of noise: small enough to make, and unlike every other."""
    small = _random.integers(0, 256, (height // 16 or 1, width // 16 or 1, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST))


FIRST, SECOND, THIRD = noise_image(96, 64), noise_image(64, 96), noise_image(64, 64)


@dataclass(frozen=True)
class Edits:
    """A model that edits, and the same pipeline as a plain script calls it."""

    name: str
    folder: str
    backend: DiffusersBackend
    plain: Any

    def call(
        self,
        spec: ImageSpec,
        input_images: Sequence[Pixels],
        *,
        count: int = 1,
        width: int | None = None,
        height: int | None = None,
        **more: Any,
    ) -> Pixels:
        """What a plain call generates, through PIL."""
        several: dict[str, Any] = {
            "prompt": [spec.prompt] * count,
            "image": [Image.fromarray(each) for each in input_images],
        }
        if self.name == "qwen":
            several |= {"prompt": spec.prompt, "num_images_per_prompt": count}
        if self.name == "img2img":
            several |= {"image": [Image.fromarray(input_images[0])] * count, "strength": spec.strength or 0.6}
        if self.name != "qwen":
            several |= {"guidance_scale": spec.guidance_scale}
        output = self.plain(
            width=width or spec.width,
            height=height or spec.height,
            num_inference_steps=spec.num_inference_steps,
            generator=[torch.Generator("cpu").manual_seed(spec.seed + k) for k in range(count)],
            **several,
            **more,
        )
        return np.stack([np.asarray(image) for image in output.images])


EditsOf = Callable[[str], Edits]
