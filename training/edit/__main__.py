"""`python -m training.edit`: train the edit model."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from cyclopts import App

app = App(name="training.edit", help="Train the edit model. A second call continues where the first stopped.")

# Shares of the CPU time. What is left is for latents, compilation and evaluations.
_AUTOENCODER, _TRANSFORMER, _DECODER = 0.12, 0.66, 0.1


@app.command(name="all")
def every_stage(
    folder: Path,
    *,
    cpu_hours: float = 8,
    scenes: int = 16_000,
    autoencoder_steps: int = 2600,
    steps: int = 18_000,
    decoder_steps: int = 4000,
    prompts: int = 300,
    compiled: bool = True,
) -> None:
    """Every stage in turn, each for so many steps, or for its share of the CPU time if that is shorter.

    FOLDER/export is the model as it ships, and FOLDER/figures.json how good it is.

    Args:
        folder: Keeps checkpoints, logs and everything else.
        cpu_hours: CPU time of all calls together.
        prompts: How many the last evaluation takes.
        compiled: Whether to compile the transformer first, which pays after some hundred steps.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder.absolute() / "compiled"))
    from training.edit import autoencoder, latents, run, transformer
    from training.stages import Log

    _hide_progress_bars()
    log = Log(folder)
    seconds = cpu_hours * 3600
    log.write(f"starts; {cpu_hours} CPU-hours in all")
    once = Once(folder)
    once(
        "autoencoder",
        lambda: autoencoder.train(folder, steps=autoencoder_steps, cpu_seconds=seconds * _AUTOENCODER, log=log),
    )
    once("statistics", lambda: latents.measure(folder, log=log))
    once("latents", lambda: latents.prepare(folder, count=scenes, log=log))
    once(
        "transformer",
        lambda: transformer.train(
            folder,
            latents.load(folder, scenes),
            steps=steps,
            cpu_seconds=seconds * _TRANSFORMER,
            log=log,
            evaluate=run.Evaluation(folder, prompts=min(prompts, 45)),
            compiled=compiled,
        ).save(folder / "model"),
    )
    once(
        "decoder",
        lambda: autoencoder.train(
            folder, steps=decoder_steps, cpu_seconds=seconds * _DECODER, log=log, decoder_only=True
        ),
    )
    once("evaluation", lambda: run.finish(folder, prompts=prompts, log=log))
    log.write("done")


@app.command
def export(folder: Path) -> None:
    """Write FOLDER/export from the averaged weights of the latest checkpoint, also while the training runs."""
    from training.edit import run

    run.export_checkpoint(folder)


@app.command
def evaluate(model: Path, *, prompts: int = 300, sheets: Path = Path("contact-sheets")) -> None:
    """Score an exported model, and save sheets of its pictures."""
    from training.edit import evaluation, run

    figures = run.score(model, prompts=prompts, sheets=sheets)
    sys.stdout.write(evaluation.table(figures) + "\n")
    evaluation.write(figures, sheets / "figures.json")


def _hide_progress_bars() -> None:
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


class Once:
    """Does what has not been done in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, work: Callable[[], None]) -> None:
        done = self.folder / f"{name}.done"
        if not done.exists():
            work()
            done.touch()


if __name__ == "__main__":
    app()
