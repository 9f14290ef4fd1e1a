"""The edit model's transformer and text encoder, fed as `Flux2KleinPipeline` feeds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import Flux2KleinPipeline, Flux2Transformer2DModel
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from training import text
from training.edit.autoencoder import LATENT_CHANNELS
from training.edit.scenes import FRAME, SIDE

LENGTH = 64
"""Tokens of a caption. Padding is attended to, so the model must be called with the length that it was trained with."""
WIDTH = 96
CHANNELS = 4 * LATENT_CHANNELS
HEADS, AXES = 4, (12, 12, 12, 12)
TOKEN = 32
"""Pixels a side that one token stands for."""
SHIFT = 3.0
"""Shift of the noise schedule: static, at every size."""
_SHARPNESS = 1.5
"""What queries and keys are scaled by at first: an offset of one token must show in an attention that is normalised."""


def new_transformer(blocks: tuple[int, int] = (2, 6)) -> Flux2Transformer2DModel:
    """Return one with gates half open, attention sharp, and no output yet, from where it learns fastest.

    Args:
        blocks: How many with two streams, and how many with one.
    """
    model = Flux2Transformer2DModel(
        in_channels=CHANNELS,
        num_layers=blocks[0],
        num_single_layers=blocks[1],
        attention_head_dim=sum(AXES),
        num_attention_heads=HEADS,
        joint_attention_dim=3 * WIDTH,
        timestep_guidance_channels=256,
        mlp_ratio=3.0,
        axes_dims_rope=AXES,
        rope_theta=100,
        guidance_embeds=False,
    )
    for module in model.modules():
        if isinstance(module, nn.RMSNorm):
            module.__class__ = _Norm
            nn.init.constant_(module.weight, _SHARPNESS)
    nn.init.zeros_(model.proj_out.weight)
    _open_gates(model, 0.5)
    return model


class _Norm(nn.RMSNorm):
    """The norm of any input in the input's own precision, as it is without autocast."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x.float(), self.normalized_shape, self.weight.float(), self.eps).to(x.dtype)


@torch.no_grad()
def _open_gates(model: Flux2Transformer2DModel, gate: float) -> None:
    """Make every gate about so large at all times: modulations have no bias, so it is fitted to the time embedding."""
    times = torch.linspace(0.01, 1, 200) * 1000
    embed = model.time_guidance_embed
    embed.timestep_embedder.linear_2.weight.mul_(1 / embed(times, None).std())
    hidden = nn.functional.silu(embed(times, None))
    wanted = torch.full((len(times), 1), gate)
    row = torch.linalg.lstsq(hidden, wanted, rcond=1e-3, driver="gelsd").solution[:, 0]
    for modulation in (
        model.double_stream_modulation_img,
        model.double_stream_modulation_txt,
        model.single_stream_modulation,
    ):
        weight = modulation.linear.weight
        nn.init.normal_(weight, std=0.005)
        for number, part in enumerate(weight.chunk(weight.shape[0] // weight.shape[1])):
            if number % 3 == 2:  # shift, scale, gate
                part += row


def text_config(tokenizer: PreTrainedTokenizerFast, layers: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def new_text_encoder(tokenizer: PreTrainedTokenizerFast) -> Qwen3Model:
    """Three layers, and the transformer reads the states behind every one."""
    model = Qwen3Model(text_config(tokenizer, 3))
    model.embed_tokens.weight.data.mul_(20)  # nothing scales the words before the transformer reads them
    return model


def position_ids(references: int) -> tuple[Tensor, Tensor]:
    """Return the positions of a picture's tokens, its references behind them, and of a caption's, by the pipeline."""
    picture = Flux2KleinPipeline._prepare_latent_ids(torch.zeros(1, CHANNELS, SIDE // TOKEN, SIDE // TOKEN))
    if references:
        frames = [torch.zeros(1, CHANNELS, FRAME // TOKEN, FRAME // TOKEN)] * references
        picture = torch.cat([picture, Flux2KleinPipeline._prepare_image_ids(frames)], 1)
    return picture, Flux2KleinPipeline._prepare_text_ids(torch.zeros(1, LENGTH, 1))


@dataclass
class EditModel:
    """What is trained: captions, references and noise to the velocity towards the noise."""

    tokenizer: PreTrainedTokenizerFast
    text_encoder: Qwen3Model
    transformer: Flux2Transformer2DModel

    @classmethod
    def new(cls, tokenizer: PreTrainedTokenizerFast, blocks: tuple[int, int] = (2, 6)) -> "EditModel":
        """Untrained."""
        return cls(tokenizer, new_text_encoder(tokenizer), new_transformer(blocks))

    @property
    def module(self) -> nn.Module:
        return nn.ModuleList([self.text_encoder, self.transformer])

    def tokens(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        return text.tokenize(self.tokenizer, captions, LENGTH)

    def words(self, ids: Tensor, real: Tensor) -> Tensor:
        """What the pipeline reads of captions: (batch, LENGTH, 3 * WIDTH)."""
        states = self.text_encoder(input_ids=ids, attention_mask=real, output_hidden_states=True, use_cache=False)
        return torch.cat(states.hidden_states[1:], -1)

    def velocity(self, noisy: Tensor, references: Tensor, sigma: Tensor, words: Tensor) -> Tensor:
        """Predict noise minus picture, of the shape of ``noisy``.

        Args:
            noisy: Latents of pictures, (batch, 64, CHANNELS).
            references: Latents of what they start from, (batch, references, 16, CHANNELS).
            sigma: The share of noise, (batch,).
        """
        picture_ids, text_ids = position_ids(references.shape[1])
        tokens = torch.cat([noisy, references.flatten(1, 2)], 1)
        predicted = self.transformer(
            hidden_states=tokens,
            timestep=sigma,
            guidance=None,
            encoder_hidden_states=words,
            txt_ids=text_ids,
            img_ids=picture_ids,
            return_dict=False,
        )[0]
        return predicted[:, : noisy.shape[1]]

    @classmethod
    def load(cls, folder: Path) -> "EditModel":
        return cls(
            PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer"),
            Qwen3Model.from_pretrained(folder / "text_encoder", dtype=torch.float32),
            Flux2Transformer2DModel.from_pretrained(folder / "transformer", dtype=torch.float32),
        )

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.text_encoder.save_pretrained(folder / "text_encoder")
        self.transformer.save_pretrained(folder / "transformer")
