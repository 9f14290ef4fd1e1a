"""What a run hands over: the exported model, its figures and its sheets."""

import time
from functools import partial
from pathlib import Path

from diffusers import AutoencoderKLFlux2

from training.edit import evaluation, export, transformer
from training.edit.model import EditModel
from training.stages import Log


class Evaluation:
    """Exports the model as it is, and scores that on a few prompts."""

    def __init__(self, folder: Path, *, prompts: int) -> None:
        self.folder, self.prompts = folder, prompts

    def __call__(self, model: EditModel) -> str:
        write(model, self.folder)
        return evaluation.summary(score(self.folder / "export", prompts=self.prompts, sheets=self.folder))


def write(model: EditModel, folder: Path) -> None:
    """Export a model with the autoencoder in ``folder/vae``."""
    export.export(model, AutoencoderKLFlux2.from_pretrained(folder / "vae"), folder / "export")


def score(model: Path, *, prompts: int, sheets: Path) -> dict[str, float]:
    """Score an exported model, and save ``sheet.png`` and ``sentence.png``."""
    sheets.mkdir(parents=True, exist_ok=True)
    draw = partial(export.generate, export.load(model))
    start = time.process_time()
    evaluation.sentence_sheet(draw, sheets / "sentence.png")
    seconds = (time.process_time() - start) / 8
    return evaluation.evaluate(draw, prompts, sheets / "sheet.png") | {"CPU-seconds of three references": seconds}


def export_checkpoint(folder: Path) -> None:
    """Export the averaged weights of the latest checkpoint."""
    write(transformer.averaged(folder), folder)


def finish(folder: Path, *, prompts: int, log: Log) -> None:
    """Export what was trained, with the last decoder, and score it."""
    write(EditModel.load(folder / "model"), folder)
    figures = score(folder / "export", prompts=prompts, sheets=folder)
    evaluation.write(figures, folder / "figures.json")
    log.write(f"figures of {prompts} prompts\n{evaluation.table(figures)}")
