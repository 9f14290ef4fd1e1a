"""The trained parts as a `Flux2KleinPipeline`: to look at while they learn, and to ship."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline
from PIL import Image
from torch import nn
from transformers import Qwen3ForCausalLM, Qwen3Model

from training.edit.model import LENGTH, SHIFT, EditModel, text_config
from training.edit.scenes import SIDE, Picture
from training.packaging import package

STEPS = 8
_READ = 9
"""The pipeline reads the text encoder's states behind layers 9, 18 and 27, and takes no other number."""


def assemble(model: EditModel, vae: AutoencoderKLFlux2) -> Flux2KleinPipeline:
    """Put copies of the parts together."""
    pipe = Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=SHIFT, use_dynamic_shifting=False),
        vae=vae,
        text_encoder=_stretched(model),
        tokenizer=deepcopy(model.tokenizer),
        transformer=deepcopy(model.transformer),
        is_distilled=True,  # guidance was not trained for
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _stretched(model: EditModel) -> Qwen3ForCausalLM:
    """The text encoder with 27 layers: each of its own, and eight behind it that add nothing."""
    trained: Qwen3Model = model.text_encoder
    stretched = Qwen3ForCausalLM(text_config(model.tokenizer, _READ * len(trained.layers)))
    stretched.model.embed_tokens.load_state_dict(trained.embed_tokens.state_dict())
    stretched.model.norm.load_state_dict(trained.norm.state_dict())
    for number, layer in enumerate(stretched.model.layers):
        if number % _READ == 0:
            layer.load_state_dict(trained.layers[number // _READ].state_dict())
        else:
            nn.init.zeros_(layer.self_attn.o_proj.weight)
            nn.init.zeros_(layer.mlp.down_proj.weight)
    return stretched.eval()


def generate(pipe: Flux2KleinPipeline, references: Sequence[Picture], caption: str, seed: int) -> Picture:
    """One picture, called as it was trained for."""
    image = pipe(
        image=[Image.fromarray(reference) for reference in references] or None,
        prompt=caption,
        height=SIDE,
        width=SIDE,
        num_inference_steps=STEPS,
        guidance_scale=1.0,
        max_sequence_length=LENGTH,
        generator=torch.Generator().manual_seed(seed),
    ).images[0]
    return np.asarray(image)


def export(model: EditModel, vae: AutoencoderKLFlux2, out: Path) -> None:
    """Write the pipeline in bfloat16, with its card and its licences."""
    pipe = assemble(model, deepcopy(vae)).to(torch.bfloat16)
    package(pipe, out, card=(Path(__file__).parent / "model_card.md").read_text("utf-8"))


def load(folder: Path) -> Flux2KleinPipeline:
    """An exported pipeline, in the precision that it is kept in."""
    pipe = Flux2KleinPipeline.from_pretrained(folder, dtype=torch.bfloat16)
    pipe.set_progress_bar_config(disable=True)
    return pipe
