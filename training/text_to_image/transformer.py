"""Train the transformer and the text encoder together: captions and noise to latents."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, ZImageTransformer2DModel
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen3Model

from training import text
from training.captions import Captions
from training.runs import Average, Run, device, halved, learning_rate
from training.text_to_image import batched
from training.text_to_image.latents import SIZES, Latents, load
from training.text_to_image.pipeline import assemble, grid
from training.vocabulary import nearest_words, vocabulary

HEADS, LAYERS = 4, 6
AXES = (16, 16, 16)
SHIFT = 3.0
UNCAPTIONED = 0.05
"""So many pictures are trained on without a word: what guidance, and negative prompts, start from."""
LONG = 0.1
"""So many batches have captions of 64 or 96 tokens: the picture's place is behind them, which must be learnt, too."""
LONGEST = 96


def new_transformer(channels: int) -> ZImageTransformer2DModel:
    """Return one with gates a little open and no output yet, from where it learns fastest."""
    model = ZImageTransformer2DModel(
        in_channels=channels,
        dim=HEADS * sum(AXES),
        n_layers=LAYERS,
        n_refiner_layers=1,
        n_heads=HEADS,
        n_kv_heads=HEADS,
        cap_feat_dim=text.WIDTH,
        axes_dims=list(AXES),
        axes_lens=[256, 128, 128],
    )
    for name, parameter in model.named_parameters():
        if "all_final_layer" in name and "linear" in name:
            nn.init.zeros_(parameter)
        elif "pad_token" in name:
            nn.init.normal_(parameter, std=0.02)
        elif "adaLN_modulation" in name and "all_final" not in name:
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)
                for gate in (1, 3):
                    nn.init.constant_(parameter.data.chunk(4)[gate], 0.5)
    return model


@dataclass
class Learner:
    """What is trained, and what it needs to be asked."""

    tokenizer: PreTrainedTokenizerFast
    text_encoder: Qwen3Model
    transformer: ZImageTransformer2DModel
    mean: float
    scale: float

    @classmethod
    def new(cls, latents: list[Latents]) -> "Learner":
        tokenizer = text.new_tokenizer(_reading())
        some = latents[0].patches[:3000].astype(np.float32)
        channels = some.shape[-1] // 4
        return cls(
            tokenizer,
            text.new_text_encoder(tokenizer),
            new_transformer(channels),
            mean=round(float(some.mean()), 4),
            scale=round(1 / float(some.std()), 4),
        )

    @classmethod
    def load(cls, folder: Path) -> "Learner":
        numbers = json.loads((folder / "latents.json").read_text())
        return cls(
            PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer"),
            Qwen3Model.from_pretrained(folder / "text_encoder", dtype=torch.float32),
            ZImageTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=torch.float32),
            **numbers,
        )

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.text_encoder.save_pretrained(folder / "text_encoder")
        self.transformer.save_pretrained(folder / "transformer")
        (folder / "latents.json").write_text(json.dumps({"mean": self.mean, "scale": self.scale}))

    @property
    def module(self) -> nn.Module:
        return nn.ModuleList([self.text_encoder, self.transformer])


def _reading() -> list[str]:
    """What the tokenizer learns its pieces from: captions, and each word that the captions can use a few times."""
    captions = Captions(vocabulary(), 0, held_out=None)
    sentences = [captions.draw().caption for _ in range(4000)] + [
        captions.words(captions.draw(), long=True) for _ in range(400)
    ]
    words = [word for thing in vocabulary().things for word in thing.words]
    words += [word for near in nearest_words().values() for word in near]
    return sentences + words * 4


class Batches:
    """Draws batches: patches, captions of one padded length, and the size of their picture."""

    def __init__(self, learner: Learner, latents: list[Latents], *, size: int, seed: int) -> None:
        self.learner = learner
        self.latents = {part.size: part for part in latents}
        self.size = size
        self.random = random.Random(seed)
        self.captions = Captions(vocabulary(), seed, nearest=nearest_words())
        self._order: dict[tuple[int, int], list[int]] = {}

    def draw(self) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
        """Patches scaled to mean 0 and deviation 1; token ids; which of them are real; width and height."""
        picture = self.random.choices(list(SIZES), list(SIZES.values()))[0]
        # Larger pictures come in smaller batches, so that every step costs about the same.
        count = max(8, self.size * 256 * 256 // (picture[0] * picture[1]))
        part = self.latents[picture]
        rows = self._take(part, count)
        length = self.random.choice([64, LONGEST]) if self.random.random() < LONG else 32
        words = [self._words(part, row, length) for row in rows]
        ids, real = text.tokenize(self.learner.tokenizer, words, length)
        patches = torch.from_numpy(part.patches[rows].astype(np.float32))
        return (patches - self.learner.mean) * self.learner.scale, ids, real, picture

    def _words(self, part: Latents, row: int, length: int) -> str:
        """A caption that the model pads to that length."""
        if length == 32 and self.random.random() < UNCAPTIONED:
            return ""
        while True:
            words = self.captions.words(part.scenes[row], long=length > 32)
            if text.padded_length(self.learner.tokenizer, words) == length:
                return words

    def _take(self, part: Latents, count: int) -> list[int]:
        order = self._order.setdefault(part.size, [])
        if len(order) < count:
            order[:] = self.random.sample(range(len(part.scenes)), len(part.scenes))
        return [order.pop() for _ in range(min(count, len(order)))]


def train(folder: Path, *, minutes: float, rate: float = 3e-3, batch: int = 32, seed: int = 0) -> None:
    """Train for some minutes on ``folder/latents``, from what is in ``folder/model`` if anything does; save there."""
    torch.manual_seed(seed)
    out = folder / "model"
    latents = load(folder)
    learner = Learner.load(out) if (out / "latents.json").exists() else Learner.new(latents)
    where = device()
    learner.module.to(where)
    batches = Batches(learner, latents, size=batch, seed=seed)
    matrices = [
        parameter
        for name, parameter in learner.transformer.named_parameters()
        if parameter.ndim == 2 and ("layers" in name or "refiner" in name) and "adaLN" not in name
    ]
    known = set(map(id, matrices))
    rest = [parameter for parameter in learner.module.parameters() if id(parameter) not in known]
    optimizers = [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate / 2, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    peaks = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    average = Average(learner.module, 0.995)
    run = Run(out / "training.log", minutes)
    forward = torch.compile(batched.forward, dynamic=False)
    rotations: dict[tuple[int, ...], batched.Rotations] = {}
    for step, share in run.steps():
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * learning_rate(step, share)
        clean, ids, real, (width, height) = batches.draw()
        clean, ids, real = clean.to(where), ids.to(where), real.to(where)
        key = (ids.shape[1], height // 32, width // 32)
        if key not in rotations:
            rotations[key] = batched.Rotations.of(learner.transformer, *key)
        noise = torch.randn_like(clean)
        sigma = torch.sigmoid(torch.randn(len(clean), device=where))
        sigma = SHIFT * sigma / (1 + (SHIFT - 1) * sigma)
        noisy = torch.lerp(clean, noise, sigma[:, None, None])
        common = key == (32, 8, 8) and len(clean) == batch  # what is rare is not worth the minutes of compiling
        with halved(where):
            caption = text.encode(learner.text_encoder, ids, real)
            velocity = (forward if common else batched.forward)(
                learner.transformer, noisy, 1 - sigma, caption, real, rotations[key]
            )
        off = (velocity.float() - (clean - noise)).square().mean(-1)
        # Background is soon learnt, and most of the picture.
        thing = (clean - clean[:, :1]).square().mean(-1) > 0.05
        loss = (off * (1 + thing)).mean() / (1 + thing.float().mean())
        learner.module.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(rest, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        average.update()
        run.report(step, loss=loss.item())
        if step % 400 == 0:
            _save(learner, average, folder)
    _save(learner, average, folder)


def _save(learner: Learner, average: Average, folder: Path) -> None:
    """The averaged weights, and pictures that they draw."""
    with average.applied():
        learner.save(folder / "model")
        vae = AutoencoderTiny.from_pretrained(folder / "vae").to(learner.transformer.device)
        pipe = assemble(
            vae,
            learner.text_encoder,
            learner.tokenizer,
            learner.transformer,
            mean=learner.mean,
            scale=learner.scale,
        )
        grid(pipe, folder / "model" / "sample.png")
