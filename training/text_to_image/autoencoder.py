"""Train the autoencoder: pictures to latents and back, sixteen pixels a latent.

Most of what it sees are the scenes that the model is to draw, on their grid. The rest are the same things at any size
and place, mirrored and recoloured, so that it also carries pictures that others made.
"""

import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from training.captions import Captions
from training.losses import reconstruction, spread
from training.muon import Muon
from training.runs import Average, Run, device, halved, learning_rate
from training.scenes import GRID, render, sprite
from training.vocabulary import vocabulary

LATENT_CHANNELS = 32
CROP = 128
BATCH = 8


def new_autoencoder() -> AutoencoderTiny:
    """Return one with weights that keep the size of what passes: torch's own let it fade, and training stands still."""
    model = AutoencoderTiny(
        encoder_block_out_channels=(48,) * 5,
        decoder_block_out_channels=(64,) * 5,
        latent_channels=LATENT_CHANNELS,
        num_encoder_blocks=(0, 0, 1, 2, 3),
        num_decoder_blocks=(4, 3, 2, 0, 0),
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, AutoencoderTinyBlock):
                module.conv[-1].weight.mul_(0.2)
        model.encoder.layers[-1].weight.mul_(0.7)
        model.decoder.layers[-1].weight.mul_(0.1)
    return model


class Crops:
    """Draws crops of pictures: float32 (3, 128, 128), -1 to 1."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.captions = Captions(vocabulary(), seed, held_out=None)

    def draw(self) -> NDArray[np.float32]:
        pixels = self._known() if self.random.random() < 0.9 else self._anything()
        return (pixels.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)

    def _known(self) -> NDArray[np.uint8]:
        picture = render(self.captions.draw().scene)
        for _ in range(4):  # a crop of mere background teaches little
            top, left = (self.random.randrange(0, (256 - CROP) // GRID + 1) * GRID for _ in range(2))
            crop = picture[top : top + CROP, left : left + CROP]
            if crop.std() > 12:
                break
        return crop

    def _anything(self) -> NDArray[np.uint8]:
        thing = self.random.choice(self.captions.vocabulary.things)
        size = self.random.randrange(64, 257)
        picture = Image.new("RGB", (CROP, CROP), tuple(self.random.randrange(256) for _ in range(3)))
        pixels = Image.fromarray(np.clip(sprite(thing.art, size), 0, 255).astype(np.uint8), "RGBa").convert("RGBA")
        picture.paste(pixels, tuple(self.random.randrange(-size // 2, CROP - size // 2) for _ in range(2)), pixels)
        crop = np.asarray(picture)
        if self.random.random() < 0.5:
            crop = crop[:, ::-1]
        return crop[..., self.random.sample(range(3), 3)]


def train(folder: Path, *, minutes: float, rate: float = 3e-3, decoder_only: bool = False, seed: int = 0) -> None:
    """Train for some minutes, from what is in ``folder`` if anything does, and save there.

    With ``decoder_only`` the latents stay what they are, so a transformer trained on them stays right.
    """
    torch.manual_seed(seed)
    model = AutoencoderTiny.from_pretrained(folder) if (folder / "config.json").exists() else new_autoencoder()
    where = device()
    model = model.to(where, memory_format=torch.channels_last)
    model.encoder.requires_grad_(not decoder_only)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizers = [
        Muon([parameter for parameter in trained if parameter.ndim == 4], lr=rate),
        torch.optim.AdamW([parameter for parameter in trained if parameter.ndim < 4], lr=rate / 2, betas=(0.9, 0.98)),
    ]
    peaks = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    average = Average(model, 0.995)
    crops = Crops(seed)
    run = Run(folder / "training.log", minutes)
    for step, share in run.steps():
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * learning_rate(step, share)
        real = torch.from_numpy(np.stack([crops.draw() for _ in range(BATCH)]))
        real = real.to(where, memory_format=torch.channels_last)
        with halved(where):
            latents = model.encode(real).latents.float()
            # Noise of up to a fifth: what the transformer hands over later is not exact either.
            noise = torch.rand(BATCH, 1, 1, 1, device=where) * 0.2 * torch.randn_like(latents)
            seen = (latents + noise).contiguous(memory_format=torch.channels_last)
            drawn = model.decode(seen).sample.float()
        loss = reconstruction(drawn, real)
        model.zero_grad(set_to_none=True)
        (loss if decoder_only else loss + spread(latents)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        average.update()
        run.report(step, loss=loss.item(), error=(drawn - real).detach().square().mean().item() / 4)
        if step % 1000 == 0:
            _save(model, average, folder)
    _save(model, average, folder)


def _save(model: AutoencoderTiny, average: Average, folder: Path) -> None:
    with average.applied():
        model.save_pretrained(folder)
        sample(model, folder / "sample.png")


def sample(model: AutoencoderTiny, path: Path) -> float:
    """Save sixteen pictures, each next to itself after the way through the latents; return the mean PSNR in dB."""
    captions = Captions(vocabulary(), 1, held_out=None)
    real = np.stack([render(captions.draw().scene) for _ in range(16)])
    with torch.no_grad():
        pixels = torch.from_numpy(real).to(model.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        back = model.decode(model.encode(pixels).latents).sample.clamp(-1, 1)
    decoded = ((back + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    rows = [
        np.concatenate([x for k in range(4) for x in (real[row * 4 + k], decoded[row * 4 + k])], 1) for row in range(4)
    ]
    Image.fromarray(np.concatenate(rows, 0)).save(path)
    error = np.square(real.astype(np.float32) - decoded).mean((1, 2, 3)) / 255**2
    psnr = float((-10 * np.log10(error)).mean())
    path.with_suffix(".txt").write_text(f"PSNR {psnr:.2f} dB\n")
    return psnr
