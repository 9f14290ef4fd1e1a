"""`python -m training`: train the model in the box."""

from pathlib import Path

from cyclopts import App

app = App(
    name="training", help="Train the model in the box, from nothing, step by step. Each step resumes what it finds."
)


@app.command
def autoencoder(
    *, folder: Path = Path("training-run"), minutes: float = 25, rate: float = 3e-3, decoder_only: bool = False
) -> None:
    """Train the autoencoder, or only its decoder."""
    from training.autoencoder import train

    train(folder / "vae", minutes=minutes, rate=rate, decoder_only=decoder_only)


@app.command
def latents(*, folder: Path = Path("training-run"), count: int = 24_000, seed: int = 0) -> None:
    """Encode scenes for the transformer to learn from. Another seed adds more of them."""
    from training.latents import prepare

    prepare(folder, count=count, seed=seed)


@app.command
def transformer(
    *, folder: Path = Path("training-run"), minutes: float = 75, rate: float = 3e-3, batch: int = 64, seed: int = 0
) -> None:
    """Train the transformer and the text encoder. Give every run that resumes another one a seed of its own."""
    from training.transformer import train

    train(folder, minutes=minutes, rate=rate, batch=batch, seed=seed)


@app.command
def export(out: Path, *, folder: Path = Path("training-run")) -> None:
    """Write the pipeline to a folder that `PIPELET_MODEL` can name."""
    from training.export import export as write

    write(folder, out)


if __name__ == "__main__":
    app()
