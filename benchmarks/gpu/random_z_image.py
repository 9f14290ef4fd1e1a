"""A checkpoint of Z-Image with random weights, at its full size or at a tiny one.

How long a generation takes does not depend on the weights, so none have to be fetched.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from tests.engine.diffusers.tiny_models.z_image import make_tokenizer
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3Config, Qwen3Model

LATENT_PIXELS, LATENT_CHANNELS = 8, 16
_CAPTION_PAD = 32
"""Captions are padded to a multiple of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The sizes of the parts. Those of `FULL` are published with the weights."""

    layers: int
    refiner_layers: int
    head_axes: tuple[int, int, int]
    heads: int
    text_hidden: int
    text_inner: int
    text_layers: int
    text_heads: int
    text_head_dim: int
    vocabulary: int
    vae_channels: tuple[int, int, int, int]

    @property
    def width(self) -> int:
        return self.heads * sum(self.head_axes)


FULL = Scale(
    layers=30,
    refiner_layers=2,
    head_axes=(32, 48, 48),
    heads=30,
    text_hidden=2560,
    text_inner=9728,
    text_layers=36,
    text_heads=32,
    text_head_dim=128,
    vocabulary=151_936,
    vae_channels=(128, 256, 512, 512),
)
TINY = Scale(
    layers=2,
    refiner_layers=1,
    head_axes=(8, 12, 12),
    heads=2,
    text_hidden=64,
    text_inner=128,
    text_layers=2,
    text_heads=4,
    text_head_dim=16,
    vocabulary=2048,
    vae_channels=(32, 32, 32, 32),
)
SCALES = {"full": FULL, "tiny": TINY}


def make_checkpoint(folder: Path, scale: Scale, device: torch.device) -> None:
    """Write the pipeline to `folder` in bfloat16: 20.5 GB at the full size. The weights are made on `device`."""
    tokenizer = make_tokenizer()
    parts = {"transformer": _transformer, "text_encoder": _text_encoder, "vae": _vae}
    pipe = ZImagePipeline(
        **{name: _filled(make, scale, device) for name, make in parts.items()},
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=False),
        tokenizer=tokenizer,
    )
    pipe.save_pretrained(folder)


def forward_flops(scale: Scale, width: int, height: int, caption_tokens: int) -> int:
    """Floating-point operations of one step of the transformer for one image, two for each multiplication and sum."""
    padded = math.ceil(caption_tokens / _CAPTION_PAD) * _CAPTION_PAD
    with torch.device("meta"):
        transformer = _transformer(scale)
        image = torch.empty(LATENT_CHANNELS, 1, height // LATENT_PIXELS, width // LATENT_PIXELS)
        caption = torch.empty(padded, scale.text_hidden)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            transformer([image], torch.empty(1), [caption])
    return counter.get_total_flops()


def _filled(make: Callable[[Scale], torch.nn.Module], scale: Scale, device: torch.device) -> torch.nn.Module:
    """A part whose matrices and kernels keep the size of what passes through them; scales are 1, shifts 0."""
    with torch.device("meta"):
        part = make(scale).to(torch.bfloat16)
    part.to_empty(device=device)
    for name, weights in part.named_parameters():
        if weights.ndim >= 2:
            torch.nn.init.normal_(weights, std=1 / math.sqrt(math.prod(weights.shape[1:])))
        else:
            torch.nn.init.constant_(weights, 0.0 if name.endswith("bias") else 1.0)
    return part.eval()


def _transformer(scale: Scale) -> Any:
    return ZImageTransformer2DModel(
        dim=scale.width,
        n_layers=scale.layers,
        n_refiner_layers=scale.refiner_layers,
        n_heads=scale.heads,
        n_kv_heads=scale.heads,
        cap_feat_dim=scale.text_hidden,
        in_channels=LATENT_CHANNELS,
        axes_dims=list(scale.head_axes),
        axes_lens=[1536, 512, 512],
    )


def _text_encoder(scale: Scale) -> Any:
    config = Qwen3Config(
        vocab_size=scale.vocabulary,
        hidden_size=scale.text_hidden,
        intermediate_size=scale.text_inner,
        num_hidden_layers=scale.text_layers,
        num_attention_heads=scale.text_heads,
        num_key_value_heads=scale.text_heads // 4,
        head_dim=scale.text_head_dim,
        max_position_embeddings=40_960,
        rope_theta=1e6,
        tie_word_embeddings=True,
    )
    return Qwen3Model(config)


def _vae(scale: Scale) -> Any:
    return AutoencoderKL(
        latent_channels=LATENT_CHANNELS,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=list(scale.vae_channels),
        layers_per_block=2,
        sample_size=1024,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
        force_upcast=True,
    )
