"""Latents of many scenes, kept in files, so that the encoder need not run during training.

The scene of a number is always the same one, so only its latents are kept: its words, the order of its references, and
references that are not mentioned are chosen each time.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2, Flux2KleinPipeline
from torch import Tensor

from training.edit.autoencoder import CPU, latents_of
from training.edit.scenes import KINDS, Picture, Scene, Scenes
from training.runs import halved
from training.stages import Log, chance, write_whole

SHARES = {
    "words": 8,
    "one": 14,
    "background": 3,
    "move": 4,
    "recolour": 7,
    "remove": 7,
    "pair": 18,
    "above": 9,
    "before": 7,
    "three": 16,
    "room": 7,
}
"""How many scenes of a hundred are of each kind."""
CHUNK = 250
_LEAST_DEVIATION = 0.2
"""A channel that varies less is not scaled up to 1: its noise would be."""


def scene(number: int) -> Scene:
    """The scene of that number."""
    by_number = chance("scene", number)
    kind = by_number.choices(list(KINDS), [SHARES[kind] for kind in KINDS])[0]
    return Scenes().draw(kind, by_number)


@dataclass(frozen=True)
class Latents:
    """Scenes with their latents, as the transformer sees them.

    Attributes:
        pictures: float16 (scenes, 64, channels).
        references: float16 (references, 16, channels), those of a scene after each other.
        starts: Where each scene's references start.
    """

    scenes: list[Scene]
    pictures: Tensor
    references: Tensor
    starts: list[int]


@torch.no_grad()
def encode(vae: AutoencoderKLFlux2, pictures: list[Picture]) -> Tensor:
    """Tokens of pictures of one size, not yet normalised: (pictures, tokens, channels)."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with halved(CPU):
        latents = latents_of(vae, pixels.contiguous(memory_format=torch.channels_last)).float()
    return Flux2KleinPipeline._pack_latents(Flux2KleinPipeline._patchify_latents(latents.contiguous()))


def normalised(vae: AutoencoderKLFlux2, tokens: Tensor) -> Tensor:
    """Normalise tokens as the pipeline does it."""
    return (tokens - vae.bn.running_mean) / torch.sqrt(vae.bn.running_var + vae.config.batch_norm_eps)


def measure(folder: Path, *, log: Log, scenes: int = 500) -> None:
    """Give the autoencoder in ``folder/vae`` the statistics that latents are normalised by: those of some scenes."""
    vae = AutoencoderKLFlux2.from_pretrained(folder / "vae").to(memory_format=torch.channels_last)
    tokens = torch.cat([encode(vae, [scene(number).render()])[0] for number in range(scenes)])
    vae.bn.running_mean.copy_(tokens.mean(0))
    vae.bn.running_var.copy_(tokens.var(0))
    vae.register_to_config(batch_norm_eps=_LEAST_DEVIATION**2)
    vae.save_pretrained(folder / "vae")
    deviation = vae.bn.running_var.sqrt()
    log.write(f"latents deviate by {deviation.min():.2f} to {deviation.max():.2f}")


def prepare(folder: Path, *, count: int, log: Log) -> None:
    """Encode the first ``count`` scenes into ``folder/latents``; those that are there stay."""
    vae = AutoencoderKLFlux2.from_pretrained(folder / "vae").to(memory_format=torch.channels_last)
    out = folder / "latents"
    out.mkdir(exist_ok=True)
    for first in range(0, count, CHUNK):
        path = out / f"{first:06d}.pt"
        if not path.exists():
            last = min(first + CHUNK, count)
            write_whole(path, partial(torch.save, _chunk(vae, range(first, last))))
            log.write(f"latents {last} scenes")


def _chunk(vae: AutoencoderKLFlux2, numbers: range) -> dict[str, Tensor]:
    pictures, references = [], []
    for start in range(numbers.start, numbers.stop, 10):
        scenes = [scene(number) for number in range(start, min(start + 10, numbers.stop))]
        pictures.append(encode(vae, [drawn.render() for drawn in scenes]))
        frames = [reference.render() for drawn in scenes for reference in drawn.references]
        if frames:
            references.append(encode(vae, frames))
    return {
        "pictures": normalised(vae, torch.cat(pictures)).half(),
        "references": normalised(vae, torch.cat(references)).half(),
    }


def load(folder: Path, count: int) -> Latents:
    """What `prepare` wrote."""
    chunks = [torch.load(folder / "latents" / f"{first:06d}.pt") for first in range(0, count, CHUNK)]
    scenes = [scene(number) for number in range(count)]
    counts = [len(drawn.references) for drawn in scenes]
    return Latents(
        scenes,
        torch.cat([chunk["pictures"] for chunk in chunks]),
        torch.cat([chunk["references"] for chunk in chunks]),
        [0, *np.cumsum(counts).tolist()][:-1],
    )
