"""The trained model as a diffusers folder, in bfloat16, as it ships; and back, to train on."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny

from training.packaging import package
from training.text_to_image.pipeline import assemble
from training.text_to_image.transformer import Learner
from training.vocabulary import vocabulary

_UNTIDY = ("block_out_channels",)
"""What `AutoencoderTiny` writes, but warns of when it reads it."""


def export(folder: Path, out: Path) -> None:
    """Write the pipeline made of ``folder/vae`` and ``folder/model`` to ``out``, with its card and its licences."""
    learner = Learner.load(folder / "model")
    pipe = assemble(
        AutoencoderTiny.from_pretrained(folder / "vae").to(torch.bfloat16),
        learner.text_encoder.to(torch.bfloat16),
        learner.tokenizer,
        learner.transformer.to(torch.bfloat16),
        mean=learner.mean,
        scale=learner.scale,
    )
    package(pipe, out, card=model_card(), left_out=_UNTIDY)


def unpack(checkpoint: Path, folder: Path) -> None:
    """The way back: lay a pipeline's parts out in ``folder`` as the training steps keep them, to continue there."""
    shutil.copytree(checkpoint / "vae", folder / "vae")
    for part in ("transformer", "text_encoder", "tokenizer"):
        shutil.copytree(checkpoint / part, folder / "model" / part)
    config = json.loads((checkpoint / "vae" / "config.json").read_text("utf-8"))
    numbers = {"mean": config["shift_factor"], "scale": config["scaling_factor"]}
    (folder / "model" / "latents.json").write_text(json.dumps(numbers))


def model_card() -> str:
    """``model_card.md`` with the lists of what can be drawn."""
    known = vocabulary()
    things = "\n".join(
        f"- {thing.name} ({', '.join(thing.words[1:])})" if thing.words[1:] else f"- {thing.name}"
        for thing in known.objects
    )
    shapes = dict.fromkeys(thing.shape for thing in known.shapes)
    colours = dict.fromkeys(thing.colour for thing in known.shapes)
    template = (Path(__file__).parent / "model_card.md").read_text("utf-8")
    return (
        template.replace("{count}", str(len(known.objects)))
        .replace("{things}", things)
        .replace("{shapes}", ", ".join(shapes))
        .replace("{colours}", ", ".join(colours))
        .replace("{backgrounds}", ", ".join(known.backgrounds))
    )
