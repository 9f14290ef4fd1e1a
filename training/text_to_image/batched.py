"""The transformer's forward pass for batches of one size, which can be trained: the same numbers as diffusers' class.

`ZImageTransformer2DModel.forward` takes lists, item by item, and computes its rotations in complex numbers; neither is
fast to train on, nor can be compiled. Here pictures and captions are tensors, and the module only lends its weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from diffusers import ZImageTransformer2DModel
from torch import Tensor, nn

PATCH = "2-1"


@dataclass(frozen=True)
class Rotations:
    """Cosines and sines of the places of picture tokens, then caption tokens: float (1, tokens, 1, head / 2)."""

    cosines: Tensor
    sines: Tensor

    @classmethod
    def of(cls, model: ZImageTransformer2DModel, length: int, height: int, width: int) -> "Rotations":
        """Return those of captions padded to `length` tokens, and of pictures of `height` by `width` patches."""
        caption = torch.zeros(length, 3, dtype=torch.int32)
        caption[:, 0] = torch.arange(1, length + 1)
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        picture = torch.stack([torch.full_like(rows, length + 1), rows, columns], -1).reshape(-1, 3).int()
        angles = model.rope_embedder(torch.cat([picture, caption]).to(model.device))
        return cls(angles.real.float()[None, :, None], angles.imag.float()[None, :, None])

    def part(self, start: int, stop: int | None) -> "Rotations":
        return Rotations(self.cosines[:, start:stop], self.sines[:, start:stop])


def patchify(latents: Tensor) -> Tensor:
    """(batch, channels, height, width) to (batch, patches, 4 * channels), in the order of the model's own patches."""
    batch, channels, height, width = latents.shape
    patches = latents.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 3, 5, 1)
    return patches.reshape(batch, height * width // 4, 4 * channels)


def forward(
    model: ZImageTransformer2DModel, patches: Tensor, time: Tensor, caption: Tensor, real: Tensor, rotations: Rotations
) -> Tensor:
    """Predict the velocity of each patch: of the shape of `patches`.

    Args:
        patches: Noisy latents, as `patchify` gives them.
        time: 1 - sigma, (batch,).
        caption: As `text.encode` gives it, (batch, length, width).
        real: Which caption tokens are no padding, bool (batch, length).
    """
    count = patches.shape[1]
    when = model.t_embedder(time * model.t_scale).to(patches.dtype)
    picture = model.all_x_embedder[PATCH](patches)
    for block in model.noise_refiner:
        picture = _block(block, picture, rotations.part(0, count), when)
    norm, project = model.cap_embedder
    words = project(_norm(norm, caption))
    words = torch.where(real[..., None], words, model.cap_pad_token.to(words.dtype))
    for block in model.context_refiner:
        words = _block(block, words, rotations.part(count, None))
    both = torch.cat([picture, words], 1)
    for block in model.layers:
        both = _block(block, both, rotations, when)
    last = model.all_final_layer[PATCH]
    return last.linear(last.norm_final(both[:, :count]) * (1 + last.adaLN_modulation(when)).unsqueeze(1))


def _block(block: nn.Module, tokens: Tensor, rotations: Rotations, when: Tensor | None = None) -> Tensor:
    before_attention, after_attention = block.attention_norm1, block.attention_norm2
    before_feed, after_feed = block.ffn_norm1, block.ffn_norm2
    if when is None:
        attended = _attention(block.attention, _norm(before_attention, tokens), rotations)
        tokens = tokens + _norm(after_attention, attended)
        return tokens + _norm(after_feed, _feed_forward(block.feed_forward, _norm(before_feed, tokens)))
    scale_attention, gate_attention, scale_feed, gate_feed = block.adaLN_modulation(when).unsqueeze(1).chunk(4, 2)
    attended = _attention(block.attention, _norm(before_attention, tokens) * (1 + scale_attention), rotations)
    tokens = tokens + gate_attention.tanh() * _norm(after_attention, attended)
    fed = _feed_forward(block.feed_forward, _norm(before_feed, tokens) * (1 + scale_feed))
    return tokens + gate_feed.tanh() * _norm(after_feed, fed)


def _attention(attention: nn.Module, tokens: Tensor, rotations: Rotations) -> Tensor:
    query, key, value = (
        project(tokens).unflatten(-1, (attention.heads, -1))
        for project in (attention.to_q, attention.to_k, attention.to_v)
    )
    query = _rotate(_norm(attention.norm_q, query), rotations).transpose(1, 2)
    key = _rotate(_norm(attention.norm_k, key), rotations).transpose(1, 2)
    seen = F.scaled_dot_product_attention(query, key, value.transpose(1, 2))
    return attention.to_out[0](seen.transpose(1, 2).flatten(2))


def _feed_forward(feed: nn.Module, tokens: Tensor) -> Tensor:
    return feed.w2(F.silu(feed.w1(tokens)) * feed.w3(tokens))


def _norm(norm: nn.Module, tokens: Tensor) -> Tensor:
    return F.rms_norm(tokens.float(), (tokens.shape[-1],), norm.weight.float(), norm.eps).to(tokens.dtype)


def _rotate(tokens: Tensor, rotations: Rotations) -> Tensor:
    real, imaginary = tokens.float().unflatten(-1, (-1, 2)).unbind(-1)
    cosines, sines = rotations.cosines, rotations.sines
    turned = torch.stack([real * cosines - imaginary * sines, real * sines + imaginary * cosines], -1)
    return turned.flatten(-2).to(tokens.dtype)
