"""The real classes of Z-Image at a tiny size, with random weights: what it generates is noise that depends on every
input.

The same seed makes the same bytes on every machine: weights come from numpy's generator, whose stream is fixed, and the
tokenizer is trained on the text below. Unlike the demo model it has the tokenizer, the template, the autoencoder and
the limits of the real one.
"""

import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from pipelet.domain.catalog import ModelConfig

_TEXT = """
A photo of a red fox sitting in deep snow at dawn, soft light, shallow depth of field, highly detailed fur.
A watercolour painting of an old harbour with wooden boats, gulls over the water, warm colours, loose brush strokes.
Portrait of a young woman with curly hair and green eyes, natural light from a window, film grain, 85mm lens.
A wide landscape of mountains and a lake at sunset, dramatic clouds, reflections, long exposure, golden hour.
Isometric illustration of a small city street with trees, bicycles and shops, flat shading, pastel palette.
Macro photograph of a blue butterfly on a yellow flower, sharp focus, morning dew, blurred background.
A steaming cup of coffee next to an open book on a wooden table, rain on the window, cosy evening mood.
An astronaut riding a white horse through a field of flowers, surreal, cinematic lighting, ultra wide angle.
A futuristic train station made of glass and steel at night, neon signs, wet pavement, people with umbrellas.
Minimal poster of a lighthouse on a cliff, bold shapes, two colours, vintage print, paper texture.
A bowl of noodles with egg, mushrooms and spring onions, seen from above, studio light, black background.
Three kittens playing with a ball of wool on a carpet, happy, bright room, high resolution, 8k, sharp.
Ancient stone temple in a green jungle, mist between the trees, sun rays, concept art, matte painting.
Product shot of a silver watch on dark marble, reflections, rim light, advertisement, high contrast.
A child draws a dragon with chalk on the road; the dragon is large, orange and friendly, with round wings.
Portrait of an elderly fisherman with a grey beard, weathered skin, wool cap, black and white, strong shadows.
A sign above the door says "open until seven", hand painted letters, brick wall, ivy, morning in spring.
Low poly render of an island with palm trees, a volcano and a tiny village, clear sky, soft shadows.
Negative: blurry, low quality, deformed hands, extra fingers, watermark, text, logo, cropped, overexposed.
"""
_MARKS = ["<|im_start|>", "<|im_end|>"]
_CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
    "{%- endif %}"
)
_VOCABULARY = 1024
_CAPTION = 64
"""Features of a token, from the text encoder to the transformer."""
_HEADS = 2
_HEAD_AXES = (8, 12, 12)
_POSITIONS = [1536, 512, 512]
"""Of the caption, rows and columns of 16 pixels, as published: captions to 1504 tokens, sides to 8192 pixels."""
# Chosen by looking: another prompt changes an image about half as much as another seed does, and few values clip.
_NOISE_GAIN = 0.2
_ATTENTION_GAIN = 3.0
_OUTPUT_GAIN = 8.0
_DECODER_GAIN = 0.4


TINY = ModelConfig(
    name="tiny",
    source="",
    pipeline="ZImagePipeline",
    num_inference_steps=8,
    guidance_scale=0.0,
    size_multiple=16,
    max_prompt_tokens=1504,
    special_tokens=("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>"),
)
"""Its entry in the catalog, if it had one: the real model's, but for the source."""


def make_z_image(out: Path, seed: int = 0) -> None:
    """Write the checkpoint to the folder `out`: about 1.6 MB."""
    tokenizer = make_tokenizer()
    parts = {
        "text_encoder": make_text_encoder(tokenizer),
        "transformer": make_transformer(),
        "vae": make_vae(),
    }
    for name, part in parts.items():
        fill(part, seed=zlib.crc32(name.encode()) ^ seed)
    balance(parts["transformer"], parts["vae"])
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=False)
    save(ZImagePipeline, out, parts, scheduler=scheduler, tokenizer=tokenizer)
    for file in out.rglob("*"):
        # safetensors writes files that only their owner can read.
        file.chmod(0o755 if file.is_dir() else 0o644)


def save(pipeline: Callable[..., Any], out: Path, parts: dict[str, torch.nn.Module], **others: object) -> None:
    """As a checkpoint of `pipeline` that holds `parts` in bfloat16, and what else it is made of."""
    halved = {name: part.to(torch.bfloat16).eval() for name, part in parts.items()}
    pipeline(**halved, **others).save_pretrained(out)


def make_tokenizer(*further_marks: str) -> Qwen2Tokenizer:
    draft = Tokenizer(models.BPE())
    draft.normalizer = normalizers.NFC()
    draft.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    draft.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=_VOCABULARY, show_progress=False, initial_alphabet=alphabet)
    draft.train_from_iterator(_TEXT.strip().splitlines(), trainer)
    cost_models = json.loads(draft.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=cost_models["vocab"],
        merges=[tuple(merge) for merge in cost_models["merges"]],
        model_max_length=131072,
        eos_token="<|im_end|>",
        additional_special_tokens=_MARKS,
    )
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.add_tokens(list(further_marks), special_tokens=True)
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer


def make_text_encoder(tokenizer: Qwen2Tokenizer) -> torch.nn.Module:
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=_CAPTION,
        intermediate_size=2 * _CAPTION,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=40960,
        rope_theta=1e6,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Qwen3Model(config)


def make_transformer(siglip_feat_dim: int | None = None) -> torch.nn.Module:
    return ZImageTransformer2DModel(
        siglip_feat_dim=siglip_feat_dim,
        dim=sum(_HEAD_AXES) * _HEADS,
        n_heads=_HEADS,
        n_kv_heads=_HEADS,
        n_layers=2,
        n_refiner_layers=1,
        cap_feat_dim=_CAPTION,
        in_channels=16,
        axes_dims=list(_HEAD_AXES),
        axes_lens=_POSITIONS,
    )


def make_vae() -> torch.nn.Module:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=16,
        norm_num_groups=8,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[8, 16, 16, 16],
        layers_per_block=1,
        sample_size=1024,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
        force_upcast=True,
    )


def fill(part: torch.nn.Module, *, seed: int) -> None:
    """Matrices and kernels that keep the size of what passes through them; scales 1, shifts 0."""
    for name, weights in part.named_parameters():
        random = np.random.default_rng([seed, zlib.crc32(name.encode())])
        if weights.ndim >= 2:
            inputs = math.prod(weights.shape[1:])
            values = random.standard_normal(weights.shape, np.float32) / math.sqrt(inputs)
            weights.data.copy_(torch.from_numpy(values))
        else:
            weights.data.fill_(0.0 if name.endswith("bias") else 1.0)


def balance(transformer: torch.nn.Module, vae: torch.nn.Module) -> None:
    """Let the prompt count against the noise, and the colours use their range."""
    transformer.all_x_embedder["2-1"].weight.data.mul_(_NOISE_GAIN)
    for name, weights in transformer.named_parameters():
        if name.endswith("norm_q.weight"):
            weights.data.mul_(_ATTENTION_GAIN)
    transformer.all_final_layer["2-1"].linear.weight.data.mul_(_OUTPUT_GAIN)
    vae.decoder.conv_out.weight.data.mul_(_DECODER_GAIN)
