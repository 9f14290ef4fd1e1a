"""Latents of many scenes, kept in a file for each size of picture, so that the encoder need not run during training."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray

from training.captions import Captioned, Captions
from training.runs import device, halved
from training.scenes import render
from training.text_to_image.batched import patchify
from training.vocabulary import vocabulary

SIZES = {
    (256, 256): 0.76,
    (320, 256): 0.04,
    (256, 320): 0.04,
    (384, 256): 0.04,
    (256, 384): 0.04,
    (512, 256): 0.04,
    (256, 512): 0.04,
}
"""Width and height of the pictures to learn, and their shares."""


@dataclass(frozen=True)
class Latents:
    """Scenes of one size with their latents.

    Attributes:
        patches: float16 (scenes, patches, 4 * channels), as the autoencoder gives them, not yet scaled.
        scenes: What each shows; its words are chosen again each time.
    """

    size: tuple[int, int]
    patches: NDArray[np.float16]
    scenes: list[Captioned]


def encode(autoencoder: AutoencoderTiny, size: tuple[int, int], count: int, seed: int) -> Latents:
    """Draw scenes and encode them."""
    captions = Captions(vocabulary(), seed, size)
    where = device()
    autoencoder = autoencoder.to(where, memory_format=torch.channels_last)
    scenes, patches = [], []
    for start in range(0, count, 8):
        batch = [captions.draw() for _ in range(min(8, count - start))]
        pixels = torch.from_numpy(np.stack([render(drawn.scene) for drawn in batch])).permute(0, 3, 1, 2)
        with torch.no_grad(), halved(where):
            latents = autoencoder.encode(pixels.to(where).float() / 127.5 - 1).latents.float().contiguous()
        scenes += batch
        patches.append(patchify(latents).half().cpu().numpy())
    return Latents(size, np.concatenate(patches), scenes)


def prepare(folder: Path, *, count: int, seed: int) -> None:
    """Encode `count` scenes of all sizes with the autoencoder in ``folder/vae``, into ``folder/latents``."""
    autoencoder = AutoencoderTiny.from_pretrained(folder / "vae")
    (folder / "latents").mkdir(exist_ok=True)
    for number, (size, share) in enumerate(SIZES.items()):
        width, height = size
        path = folder / "latents" / f"{width}x{height}-{seed}.pickle"
        if not path.exists():
            path.write_bytes(pickle.dumps(encode(autoencoder, size, round(count * share), seed * 100 + number)))


def load(folder: Path) -> list[Latents]:
    """What `prepare` wrote, in all its runs."""
    paths = sorted((folder / "latents").glob("*.pickle"))
    found = [pickle.loads(path.read_bytes()) for path in paths]  # noqa: S301 - written by `prepare`, here
    return [
        Latents(
            size,
            np.concatenate([latents.patches for latents in found if latents.size == size]),
            [scene for latents in found if latents.size == size for scene in latents.scenes],
        )
        for size in SIZES
    ]
