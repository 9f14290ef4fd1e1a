"""Train the autoencoder of the edit model: `AutoencoderKLFlux2`, sixteen pixels a latent.

What is copied must have the same latents in the reference and in the picture, whatever stands around it. The class
normalises over the whole picture, so that is trained, too: two windows on one canvas agree where they overlap.
"""

import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from diffusers.models.resnet import ResnetBlock2D
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from training.edit.art import SEEN, Gallery
from training.edit.surfaces import surface
from training.losses import reconstruction, spread
from training.muon import Muon
from training.runs import Average, halved
from training.scenes import finished, paste
from training.stages import Log, Stage, chance
from training.vocabulary import vocabulary

LATENT_CHANNELS = 32
CROP, CANVAS, SHIFT = 128, 160, 32
BATCH = 8
AGREEMENT = 0.1
"""What the windows' agreement weighs."""

CPU = torch.device("cpu")


def new_autoencoder(widths: tuple[int, ...] = (16, 32, 64, 96, 96)) -> AutoencoderKLFlux2:
    """Return one with weights that keep the size of what passes, and blocks that do little yet."""
    levels = len(widths)
    model = AutoencoderKLFlux2(
        block_out_channels=widths,
        decoder_block_out_channels=(*widths[:-1], widths[-1] * 4 // 3),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=1,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
        sample_size=256,
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            nn.init.zeros_(module.bias)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, ResnetBlock2D):
                module.conv1.weight.mul_(1.4)
                module.conv2.weight.mul_(0.4)
        model.encoder.conv_out.weight[LATENT_CHANNELS:] = 0  # the variance, which is never read
        model.encoder.conv_out.bias[LATENT_CHANNELS:] = -12
        model.decoder.conv_out.weight.mul_(0.2)
    return model


def latents_of(model: AutoencoderKLFlux2, pixels: Tensor) -> Tensor:
    """What the pipeline reads of a reference, before it packs it: the mean."""
    return model.encode(pixels).latent_dist.mode()


class Canvases:
    """Draws pairs of windows on canvases that show things, doodles and surfaces."""

    def __init__(self, gallery: Gallery = SEEN) -> None:
        self.gallery = gallery

    def draw(self, chance: random.Random) -> tuple[NDArray[np.uint8], tuple[int, int], tuple[int, int]]:
        """A canvas, and the rows and columns where two windows start."""
        for _ in range(4):  # a window on mere background teaches little
            canvas = self._canvas(chance)
            if canvas[SHIFT:-SHIFT, SHIFT:-SHIFT].std() > 12:
                break
        first, second = (tuple(chance.choice((0, SHIFT)) for _ in range(2)) for _ in range(2))
        return canvas, first, second

    def _canvas(self, chance: random.Random) -> NDArray[np.uint8]:
        canvas = np.empty((CANVAS, CANVAS, 3), np.float32)
        if chance.random() < 0.25:
            canvas[:] = surface(str(chance.randrange(100_000)), CANVAS)
        else:
            named = vocabulary().backgrounds
            colour = named[chance.choice([*named, *["white"] * 8])]
            canvas[:] = [level + chance.randint(-6, 6) for level in colour]
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3)) if canvas.std() > 30 else chance.choice((1, 1, 2, 3))):
            look = self.gallery.draw(chance)
            side = chance.randrange(48, 121) if chance.random() < 0.8 else chance.randrange(120, 241)
            paste(canvas, look.pixels(side), *(chance.randint(-side // 3, CANVAS - side * 2 // 3) for _ in range(2)))
        return finished(canvas)


def _windows(canvases: list[NDArray[np.uint8]], corners: list[tuple[int, int]]) -> Tensor:
    """(batch, 3, CROP, CROP), -1 to 1."""
    cut = [canvas[top : top + CROP, left : left + CROP] for canvas, (top, left) in zip(canvases, corners, strict=True)]
    pixels = torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def _disagreement(
    first: Tensor, second: Tensor, first_corners: list[tuple[int, int]], second_corners: list[tuple[int, int]]
) -> Tensor:
    """The mean square difference of two windows' latents, of each canvas, where both show the same pixels."""
    off = []
    for number, (one, other) in enumerate(zip(first_corners, second_corners, strict=True)):
        if one != other:
            down, across = ((b - a) // 16 for a, b in zip(one, other, strict=True))
            height, width = first.shape[2] - abs(down), first.shape[3] - abs(across)
            here = first[number, :, max(0, down) :, max(0, across) :][:, :height, :width]
            there = second[number, :, max(0, -down) :, max(0, -across) :][:, :height, :width]
            off.append((here - there).square().mean())
    return torch.stack(off).mean() if off else first.new_zeros(())


def train(
    folder: Path,
    *,
    steps: int,
    cpu_seconds: float,
    log: Log,
    rate: float = 3e-3,
    decoder_only: bool = False,
    model: AutoencoderKLFlux2 | None = None,
) -> None:
    """Train, from the checkpoint in ``folder`` if there is one, and save the averaged weights in ``folder/vae``.

    With ``decoder_only`` the latents stay those of ``folder/vae``, which the transformer was trained on.
    """
    name = "decoder" if decoder_only else "autoencoder"
    torch.manual_seed(0)
    if model is None:
        model = AutoencoderKLFlux2.from_pretrained(folder / "vae") if decoder_only else new_autoencoder()
    model = model.to(memory_format=torch.channels_last)
    model.bn.eval()
    model.encoder.requires_grad_(not decoder_only)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizers = [
        Muon([parameter for parameter in trained if parameter.ndim == 4], lr=rate),
        torch.optim.AdamW([parameter for parameter in trained if parameter.ndim < 4], lr=rate / 2, betas=(0.9, 0.98)),
    ]
    average = Average(model, 0.995)
    parts = {"model": model, "muon": optimizers[0], "adam": optimizers[1], "average": average}
    stage = Stage(name, folder, parts, steps=steps, cpu_seconds=cpu_seconds, log=log)
    canvases = Canvases()
    for step in stage.run():
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = (rate if optimizer is optimizers[0] else rate / 2) * stage.rate()
        drawn = [canvases.draw(chance(name, step, number)) for number in range(BATCH)]
        loss, error, apart = _losses(model, drawn, both=not decoder_only)
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        average.update()
        decibel = -10 * np.log10(error / 4)
        stage.report(loss=loss.item(), decibel=decibel, apart=apart)
        if step % 500 == 0:
            _keep(model, average, folder, stage)
    _keep(model, average, folder, stage)


def _losses(model: AutoencoderKLFlux2, drawn: list[tuple], *, both: bool) -> tuple[Tensor, float, float]:
    """The loss, the mean square error, and the disagreement of the windows."""
    images, corners, others = (list(column) for column in zip(*drawn, strict=True))
    real = _windows(images, corners)
    with halved(CPU):
        latents = latents_of(model, real).float()
        # Noise of up to a fifth: what the transformer hands over later is not exact either.
        seen = latents + torch.rand(len(drawn), 1, 1, 1) * 0.2 * torch.randn_like(latents)
        back = model.decode(seen.contiguous(memory_format=torch.channels_last)).sample.float()
    loss = reconstruction(back, real)
    error = (back - real).detach().square().mean().item()
    if not both:
        return loss, error, 0.0
    half = len(drawn) // 2
    with halved(CPU):
        shifted = latents_of(model, _windows(images[:half], others[:half])).float()
    apart = _disagreement(latents[:half], shifted, corners[:half], others[:half])
    return loss + spread(latents) + AGREEMENT * apart, error, apart.item()


def _keep(model: AutoencoderKLFlux2, average: Average, folder: Path, stage: Stage) -> None:
    """Save the averaged weights, and a sample; log its PSNR."""
    with average.applied():
        model.save_pretrained(folder / "vae")
        psnr = sample(model, folder / "vae" / "sample.png")
    stage.log.write(f"{stage.name} step {stage.step}  PSNR {psnr:.2f} dB")


@torch.no_grad()
def sample(model: AutoencoderKLFlux2, path: Path, gallery: Gallery = SEEN) -> float:
    """Save sixteen windows, each next to itself after the way through the latents; return their mean PSNR in dB."""
    canvases = Canvases(gallery)
    drawn = [canvases.draw(chance("sample", number)) for number in range(16)]
    real = _windows([canvas for canvas, _, _ in drawn], [corner for _, corner, _ in drawn])
    with halved(CPU):
        back = model.decode(latents_of(model, real)).sample.float().clamp(-1, 1)
    psnr = float((-10 * ((back - real) / 2).square().mean((1, 2, 3)).log10()).mean())
    pairs = ((torch.stack([real, back], 1).flatten(0, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    Image.fromarray(np.concatenate([np.concatenate(list(pairs[row : row + 8]), 1) for row in range(0, 32, 8)])).save(
        path
    )
    return psnr
