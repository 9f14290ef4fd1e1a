"""Fit `preview_map` of the catalog: the linear map from latents to colours that shows an image while it is generated.

It works for every autoencoder of diffusers that encodes an image to one grid of latents, such as FLUX's, which Z-Image
shares. Latents are taken as the transformer sees them, so the numbers are those of a model's entry.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from diffusers import AutoModel, Flux2KleinPipeline
from PIL import Image, ImageOps
from torch import Tensor

from training.captions import Captions
from training.runs import device
from training.scenes import render
from training.vocabulary import vocabulary

_HELD_OUT = 0.2
_ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}
_DIGITS = 3


class Fit(NamedTuple):
    rows: list[list[float]]
    """One for each channel of the latents, and one to add."""
    explained: float
    """R² of the images that were held out."""
    error: float
    """Their mean absolute error, of values from 0 to 1."""


def fit(model: Path, *, images: Path | None, count: int, side: int, pixels: int, seed: int) -> Fit:
    """Fit a map that gives `pixels` x `pixels` pixels for each latent.

    Args:
        model: the folder of a pipeline, or of its autoencoder.
        images: a folder of images to learn from; None takes scenes of the demo model.
        count: images; a fifth of them is held out.
        side: pixels to which they are cropped.
    """
    found = model / "vae" if (model / "vae").is_dir() else model
    autoencoder = AutoModel.from_pretrained(str(found), torch_dtype=torch.float32).to(device()).eval()
    given = _scenes(side, seed) if images is None else _photographs(images, side, seed)
    pairs = [_pair(autoencoder, image, pixels) for image, _ in zip(given, range(count), strict=False)]
    split = max(1, round(len(pairs) * (1 - _HELD_OUT)))
    latents, colours = (torch.cat(each) for each in zip(*pairs[:split], strict=True))
    weights = torch.linalg.lstsq(_with_one(latents), colours).solution
    rows = [[round(value, _DIGITS) + 0.0 for value in row] for row in weights.tolist()]  # + 0.0: no -0
    latents, colours = (torch.cat(each) for each in zip(*pairs[split:], strict=True))
    missed = _with_one(latents) @ torch.tensor(rows, dtype=latents.dtype) - colours
    explained = 1 - missed.square().sum() / (colours - colours.mean(0)).square().sum()
    return Fit(rows, explained.item(), missed.abs().mean().item())


def as_toml(rows: list[list[float]]) -> str:
    lines = ",\n".join("    [" + ", ".join(f"{value:g}" for value in row) + "]" for row in rows)
    return f"preview_map = [\n{lines},\n]"


def _pair(autoencoder: Any, image: Image.Image, pixels: int) -> tuple[Tensor, Tensor]:
    """Return latents, shape (latents, channels), and their colours, shape (latents, 3 * pixels²)."""
    values = torch.from_numpy(np.array(image)).to(device()).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        encoded = autoencoder.encode(values[None] * 2 - 1)
    latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    config = autoencoder.config
    latents = (latents[0] - (config.get("shift_factor") or 0.0)) * (config.get("scaling_factor") or 1.0)
    if hasattr(autoencoder, "bn"):
        latents = _whitened(autoencoder, latents)
    height, width = latents.shape[1:]
    shown = F.interpolate(values[None], (height * pixels, width * pixels), mode="area")
    colours = F.pixel_unshuffle(shown, pixels)[0]
    return tuple(each.reshape(each.shape[0], -1).T.double().cpu() for each in (latents, colours))  # type: ignore[return-value]


def _whitened(autoencoder: Any, latents: Tensor) -> Tensor:
    """Normalise each channel of two by two latents, as FLUX.2 does it, by the autoencoder's own statistics."""
    patches = Flux2KleinPipeline._patchify_latents(latents[None])
    mean, variance = (each.view(1, -1, 1, 1) for each in (autoencoder.bn.running_mean, autoencoder.bn.running_var))
    patches = (patches - mean) / torch.sqrt(variance + autoencoder.config.batch_norm_eps)
    return Flux2KleinPipeline._unpatchify_latents(patches)[0]


def _with_one(latents: Tensor) -> Tensor:
    return torch.cat([latents, torch.ones_like(latents[:, :1])], dim=1)


def _scenes(side: int, seed: int) -> Iterator[Image.Image]:
    captions = Captions(vocabulary(), seed, held_out=None)
    while True:
        yield Image.fromarray(render(captions.draw().scene)).resize((side, side))


def _photographs(folder: Path, side: int, seed: int) -> Iterator[Image.Image]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
    random.Random(seed).shuffle(paths)
    for path in paths:
        with Image.open(path) as image:
            yield ImageOps.fit(image.convert("RGB"), (side, side))
