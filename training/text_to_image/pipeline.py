"""The trained parts as a `ZImagePipeline`: to look at while they learn, and to ship."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, FlowMatchEulerDiscreteScheduler, ZImagePipeline
from PIL import Image
from transformers import PreTrainedTokenizerFast, Qwen3Model

SAMPLES = (
    "a red apple on a light blue background",
    "a lemon and a tomato on a blue background",
    "a ghost in the bottom left corner",
    "a snowman on a purple background",
    "a small rocket on a black background",
    "a huge doughnut on a pink background",
    "a cat above a dog on an orange background",
    "a house next to a tree on a light green background",
    "a blue heart on a yellow background",
    "a unicorn, teal background",
    "a robot at the top on a gray background",
    "please draw a panda",
    "a crown on the left and a key on the right on a red background",
    "a car in the top right corner on a brown background",
    "a purple square on a white background",
    "a penguin and a birthday cake",
)


def assemble(
    vae: AutoencoderTiny,
    text_encoder: Qwen3Model,
    tokenizer: PreTrainedTokenizerFast,
    transformer: torch.nn.Module,
    *,
    mean: float,
    scale: float,
) -> ZImagePipeline:
    """Put the parts together, with the scheduler of Z-Image-Turbo."""
    vae.register_to_config(scaling_factor=scale, shift_factor=mean)
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=False)
    pipe = ZImagePipeline(
        scheduler=scheduler, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, transformer=transformer
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def grid(pipe: ZImagePipeline, path: Path, prompts: Sequence[str] = SAMPLES, columns: int = 4) -> None:
    """Draw each prompt with a seed of its own, and save them as one picture."""
    rows = -(-len(prompts) // columns)
    sheet = Image.new("RGB", (columns * 256, rows * 256))
    for number, prompt in enumerate(prompts):
        generator = torch.Generator().manual_seed(number)
        image = pipe(
            prompt, width=256, height=256, num_inference_steps=8, guidance_scale=0.0, generator=generator
        ).images[0]
        sheet.paste(image, (number % columns * 256, number // columns * 256))
    sheet.save(path)
