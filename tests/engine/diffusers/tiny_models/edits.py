"""The pipelines that take several input images, of their real classes at a tiny size, with random weights."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
    ZImageOmniPipeline,
)
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3Config,
    Qwen3ForCausalLM,
    Siglip2ImageProcessorPil,
    Siglip2VisionConfig,
    Siglip2VisionModel,
)

from tests.engine.diffusers.tiny_models.z_image import (
    balance,
    fill,
    make_text_encoder,
    make_tokenizer,
    make_transformer,
    make_vae,
    save,
)

_VISION = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
_ATTENTION_GAIN = 6.0
_SEEN = 32
"""Features of what Siglip sees in a patch."""


def make_omni(folder: Path) -> None:
    tokenizer = make_tokenizer(*_VISION)
    parts = {
        "text_encoder": make_text_encoder(tokenizer),
        "transformer": make_transformer(siglip_feat_dim=_SEEN),
        "vae": make_vae(),
        "siglip": Siglip2VisionModel(
            Siglip2VisionConfig(
                hidden_size=_SEEN,
                intermediate_size=_SEEN,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_patches=16,
                patch_size=16,
            )
        ),
    }
    _fill(parts)
    balance(parts["transformer"], parts["vae"])
    save(
        ZImageOmniPipeline,
        folder,
        parts,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        tokenizer=tokenizer,
        siglip_processor=Siglip2ImageProcessorPil(patch_size=16, max_num_patches=16),
    )


def make_klein(folder: Path, *, pixels: int = 8, shift: float | None = None) -> None:
    """
    Args:
        pixels: of a latent's side, a power of 2.
        shift: the scheduler's, for noise levels that do not depend on the size.
    """
    tokenizer = make_tokenizer()
    parts = {
        # The pipeline reads its layers 9, 18 and 27.
        "text_encoder": Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=27,
                num_attention_heads=2,
                num_key_value_heads=2,
                head_dim=8,
            )
        ),
        "transformer": Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        "vae": AutoencoderKLFlux2(
            block_out_channels=(8,) * pixels.bit_length(),
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=4,
        ),
    }
    _fill(parts)
    _listen(parts["transformer"])
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift or 1.0, use_dynamic_shifting=shift is None)
    save(Flux2KleinPipeline, folder, parts, scheduler=scheduler, tokenizer=tokenizer, is_distilled=True)


def make_qwen_edit(folder: Path) -> None:
    tokenizer = make_tokenizer(*_VISION)
    marks = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in _VISION}
    parts = {
        "text_encoder": Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(
                text_config={
                    "bos_token_id": None,
                    "eos_token_id": None,
                    "vocab_size": len(tokenizer),
                    "hidden_size": 16,
                    "intermediate_size": 16,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                    "num_key_value_heads": 2,
                    "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6},
                },
                vision_config={
                    "depth": 1,
                    "hidden_size": 16,
                    "intermediate_size": 16,
                    "num_heads": 2,
                    "out_hidden_size": 16,
                    "fullatt_block_indexes": [0],
                },
                vision_start_token_id=marks["<|vision_start|>"],
                vision_end_token_id=marks["<|vision_end|>"],
                image_token_id=marks["<|image_pad|>"],
                video_token_id=marks["<|video_pad|>"],
            )
        ),
        "transformer": QwenImageTransformer2DModel(
            in_channels=16,
            out_channels=4,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(8, 4, 4),
        ),
        "vae": AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        ),
    }
    _fill(parts)
    _listen(parts["transformer"])
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    save(QwenImageEditPlusPipeline, folder, parts, scheduler=scheduler, tokenizer=tokenizer, processor=None)
    # By hand: transformers makes no processor of Qwen's where torchvision is missing.
    for part in (tokenizer, Qwen2VLImageProcessorPil()):
        part.save_pretrained(folder / "processor")
    index = folder / "model_index.json"
    content = json.loads(index.read_text()) | {"processor": ["transformers", "Qwen2VLProcessor"]}
    index.write_text(json.dumps(content))


def _fill(parts: dict[str, torch.nn.Module]) -> None:
    for seed, part in enumerate(parts.values()):
        fill(part, seed=seed)


def _listen(transformer: torch.nn.Module) -> None:
    """Sharper attention: what an image shows and a prompt says counts against the noise."""
    for name, weights in transformer.named_parameters():
        if "norm_q" in name or "norm_added_q" in name:
            weights.data.mul_(_ATTENTION_GAIN)
