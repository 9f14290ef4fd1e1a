"""What we call things, to what a pipeline calls them."""

import inspect
from typing import Any

_ONE_PROMPT = ("QwenImageEditPlusPipeline", "QwenImageEditPipeline")
"""They refuse a list of prompts, even of equal ones, and generate several images of one."""


def pipeline_kwargs(pipe: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that `pipe` takes, by its names for them."""
    name = type(pipe).__name__
    if name.startswith("QwenImage") and not pipe.transformer.config.guidance_embeds:
        asked = _with_true_guidance(asked)
    if name in _ONE_PROMPT:
        negative = asked["negative_prompt"]
        asked = asked | {
            "prompt": asked["prompt"][0],
            "negative_prompt": None if negative is None else negative[0],
            "num_images_per_prompt": len(asked["prompt"]),
        }
    # FLUX.1 Kontext chooses a size itself, unless it is told the area. Its input images are scaled by us.
    asked = asked | {"max_area": asked["width"] * asked["height"], "_auto_resize": False}
    taken = inspect.signature(type(pipe).__call__).parameters
    return {name: value for name, value in asked.items() if name in taken and value is not None}


def _with_true_guidance(asked: dict[str, Any]) -> dict[str, Any]:
    """Qwen-Image calls guidance by another name, and guides away from a negative prompt only where there is one."""
    guidance, negative = asked["guidance_scale"], asked["negative_prompt"]
    if guidance <= 1:
        negative = None
    elif negative is None:
        negative = [" "] * len(asked["prompt"])
    return asked | {"guidance_scale": None, "true_cfg_scale": guidance, "negative_prompt": negative}
