"""Train the transformer and the text encoder together, and the text encoder on what its captions say."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedTokenizerFast

from training import text
from training.edit import captions
from training.edit.autoencoder import CPU
from training.edit.curriculum import Batches, phase_at
from training.edit.latents import Latents
from training.edit.model import SHIFT, TOKEN, WIDTH, EditModel
from training.edit.scenes import SIDE, Scene
from training.runs import Average, halved
from training.stages import Log, Stage, chance

BATCH = 16
READ = 48
"""Captions a step that the text encoder alone reads."""
READING = 0.3
"""What reading weighs. Without it, two references stood still at "both are copied, to either place"."""
_ACROSS = SIDE // TOKEN
"""Tokens of a row of the picture."""


class Reader(nn.Module):
    """Says what a caption asks for, from the text encoder's last word. Thrown away after the training."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(WIDTH, sum(captions.QUESTIONS))

    def loss(self, model: EditModel, texts: list[str], said: Tensor) -> tuple[Tensor, float]:
        """The mean cross-entropy of all questions, and the share of captions that were read without a mistake."""
        ids, real = model.tokens(texts)
        states = model.text_encoder(input_ids=ids, attention_mask=real, use_cache=False).last_hidden_state
        last = states[torch.arange(len(texts)), real.sum(1) - 1].float()
        answers = self.out(last).split(captions.QUESTIONS, 1)
        losses = [nn.functional.cross_entropy(answer, right) for answer, right in zip(answers, said.T, strict=True)]
        right = torch.stack([answer.argmax(1) for answer in answers], 1) == said
        return torch.stack(losses).mean(), right.all(1).float().mean().item()


def reading(scenes: Iterable[Scene]) -> list[str]:
    """What the tokenizer learns its pieces from."""
    draw = chance("tokenizer")
    texts = []
    for scene in scenes:
        count = len(scene.references)
        texts.append(captions.sentence(scene, draw.sample(range(count), count), count, draw))
    return texts + captions.every_word() * 4


def optimizers_of(model: EditModel, reader: Reader, rate: float) -> list[torch.optim.Optimizer]:
    """One each for the matrices of blocks, the sharpness of attention, the reader, and the rest."""
    named = list(model.transformer.named_parameters())
    matrices = [parameter for name, parameter in named if parameter.ndim == 2 and "transformer_blocks" in name]
    sharpness = [parameter for name, parameter in named if "norm_q" in name or "norm_k" in name or "norm_added" in name]
    known = set(map(id, [*matrices, *sharpness]))
    rest = [parameter for parameter in model.module.parameters() if id(parameter) not in known]
    betas = (0.9, 0.98)
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(sharpness, lr=rate * 3, betas=betas, weight_decay=0.0),
        torch.optim.AdamW(reader.parameters(), lr=rate * 5 / 3, betas=betas, weight_decay=0.0),
        torch.optim.AdamW(rest, lr=rate / 2, betas=betas, weight_decay=0.0),
    ]


def train(
    folder: Path,
    latents: Latents,
    *,
    steps: int,
    cpu_seconds: float,
    log: Log,
    evaluate: Callable[[EditModel], str],
    evaluate_every: int = 800,
    rate: float = 3e-3,
    batch: int = BATCH,
    compiled: bool = True,
    blocks: tuple[int, int] = (2, 6),
) -> EditModel:
    """Train, from the checkpoint in ``folder`` if there is one; return the model with its averaged weights.

    Args:
        evaluate: Called now and then with the averaged weights; what it returns is logged.
    """
    torch.manual_seed(0)
    # At so few tokens plain matrix products are twice as fast as the fused attention's backward pass on a CPU.
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    tokenizer = _tokenizer(folder, latents)
    model = EditModel.new(tokenizer, blocks)
    reader, module = Reader(), model.module
    optimizers = optimizers_of(model, reader, rate)
    peaks = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    average = Average(module, 0.99)
    parts = {"model": module, "reader": reader, "average": average}
    parts |= {f"optimizer {number}": optimizer for number, optimizer in enumerate(optimizers)}
    stage = Stage("transformer", folder, parts, steps=steps, cpu_seconds=cpu_seconds, log=log)
    batches = Batches(latents, batch)
    velocity = torch.compile(model.velocity, dynamic=False) if compiled else model.velocity
    for step in stage.run():
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * stage.rate(hold=0.5)
            optimizer.zero_grad(set_to_none=True)
        phase = phase_at(stage.share)
        drawn = batches.draw(step, phase)
        with halved(CPU), sdpa_kernel(SDPBackend.MATH):
            words = model.words(*model.tokens(drawn.captions))
            denoising = _denoising(velocity, drawn.pictures, drawn.references, words, phase.blind)
            read, right = reader.loss(model, *batches.captions(step, phase, READ))
        (denoising + READING * read).backward()
        nn.utils.clip_grad_norm_(optimizers[-1].param_groups[0]["params"], 1.0)
        for optimizer in optimizers:
            optimizer.step()
        average.update()
        stage.report(**{f"loss{drawn.references.shape[1]}": denoising.item()}, read=right)
        if step % evaluate_every == 0:
            stage.save()
            with average.applied():
                log.write(f"transformer step {step}  {evaluate(model)}")
    average.put()
    return model


def averaged(folder: Path) -> EditModel:
    """The averaged weights of the checkpoint in ``folder``."""
    model = EditModel.new(PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer"))
    average = Average(model.module, 0)
    kept = torch.load(folder / "transformer.pt", weights_only=True)
    average.load_state_dict(kept["parts"]["average"])
    average.put()
    return model


def _tokenizer(folder: Path, latents: Latents) -> PreTrainedTokenizerFast:
    """Made once: later runs, and exports, must split words the same way."""
    if not (folder / "tokenizer").exists():
        text.new_tokenizer(reading(latents.scenes[:6000])).save_pretrained(folder / "tokenizer")
    return PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")


def _denoising(
    velocity: Callable[..., Tensor], clean: Tensor, references: Tensor, words: Tensor, blind: float
) -> Tensor:
    """The mean square error of the velocity at random shares of noise; things weigh as much as what is around them."""
    noise = torch.randn_like(clean)
    sigma = torch.sigmoid(torch.randn(len(clean)))
    sigma = SHIFT * sigma / (1 + (SHIFT - 1) * sigma)
    sigma[: int(len(clean) * blind)] = 1.0
    noisy = torch.lerp(clean, noise, sigma[:, None, None])
    off = (velocity(noisy, references, sigma, words).float() - (noise - clean)).square().mean(-1)
    corners = clean[:, None, [0, _ACROSS - 1, -_ACROSS, -1]].transpose(1, 2)  # one of them at least is background
    thing = (clean[:, None] - corners).square().mean(-1).amin(1) > 0.05
    return (off * (1 + thing)).mean() / (1 + thing.float().mean())
