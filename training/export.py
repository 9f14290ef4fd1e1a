"""The trained model as a diffusers folder, in bfloat16: what ships in the box."""

from pathlib import Path

import torch
from diffusers import AutoencoderTiny

from training.pipeline import assemble
from training.transformer import Learner


def export(folder: Path, out: Path) -> None:
    """Write the pipeline made of ``folder/vae`` and ``folder/model`` to ``out``."""
    learner = Learner.load(folder / "model")
    pipe = assemble(
        AutoencoderTiny.from_pretrained(folder / "vae").to(torch.bfloat16),
        learner.text_encoder.to(torch.bfloat16),
        learner.tokenizer,
        learner.transformer.to(torch.bfloat16),
        mean=learner.mean,
        scale=learner.scale,
    )
    pipe.save_pretrained(out)
    for path in out.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes files that only their owner can read
