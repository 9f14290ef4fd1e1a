"""Tiny pipelines that differ from Z-Image in one way each, of their real classes, with random weights."""

from pathlib import Path

import diffusers
import torch
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from tests.engine.diffusers.tiny_models.stable_diffusion import make_stable_diffusion
from tests.engine.diffusers.tiny_models.z_image import make_tokenizer, make_vae


def make_kontext(folder: Path) -> None:
    """Save a FLUX.1 Kontext, which generates at a size of its own choice, to `folder`: it also has two text
    encoders."""
    torch.manual_seed(0)
    make_stable_diffusion(folder / "clip", "EulerDiscreteScheduler")
    clip = CLIPTokenizer.from_pretrained(folder / "clip" / "tokenizer")
    t5 = make_tokenizer()
    t5.model_max_length = 512
    diffusers.FluxKontextPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=make_vae(),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(clip),
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                projection_dim=16,
                bos_token_id=clip.bos_token_id,
                eos_token_id=clip.eos_token_id,
            )
        ),
        tokenizer=clip,
        text_encoder_2=T5EncoderModel(
            T5Config(vocab_size=len(t5), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        tokenizer_2=t5,
        transformer=diffusers.FluxTransformer2DModel(
            in_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 4, 8),
        ),
    ).save_pretrained(folder)


def make_wan(folder: Path) -> None:
    """Save a Wan, which generates videos, to `folder`."""
    tokenizer = make_tokenizer()
    diffusers.WanPipeline(
        tokenizer=tokenizer,
        text_encoder=UMT5EncoderModel(
            UMT5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        vae=diffusers.AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        transformer=diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=16,
            freq_dim=16,
            ffn_dim=16,
            num_layers=1,
        ),
    ).save_pretrained(folder)


def make_checked(folder: Path) -> None:
    """Save a Stable Diffusion with a safety checker that finds something in every image to `folder`."""
    make_stable_diffusion(folder, "EulerDiscreteScheduler")
    config = CLIPConfig(
        text_config={"hidden_size": 16},
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        projection_dim=16,
    )
    checker = StableDiffusionSafetyChecker(config)
    for weights in checker.parameters():
        weights.data = weights.data.contiguous()
    checker.concept_embeds_weights.data.fill_(-2.0)  # below every similarity
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(
        folder,
        safety_checker=checker,
        feature_extractor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        requires_safety_checker=True,
    )
    pipe.save_pretrained(folder)
