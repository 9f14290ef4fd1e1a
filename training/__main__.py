"""`python -m training`: train the demo model."""

import sys
from pathlib import Path

from cyclopts import App

app = App(name="training", help="Train the demo model, from nothing, step by step. Each step resumes what it finds.")


@app.command
def autoencoder(
    *,
    folder: Path = Path("training-run"),
    minutes: float = 25,
    rate: float = 3e-3,
    decoder_only: bool = False,
    seed: int = 0,
) -> None:
    """Train the autoencoder, or only its decoder."""
    from training.text_to_image.autoencoder import train

    train(folder / "vae", minutes=minutes, rate=rate, decoder_only=decoder_only, seed=seed)


@app.command
def latents(*, folder: Path = Path("training-run"), count: int = 24_000, seed: int = 0) -> None:
    """Encode scenes for the transformer to learn from. Another seed adds more of them."""
    from training.text_to_image.latents import prepare

    prepare(folder, count=count, seed=seed)


@app.command
def transformer(
    *, folder: Path = Path("training-run"), minutes: float = 75, rate: float = 3e-3, batch: int = 32, seed: int = 0
) -> None:
    """Train the transformer and the text encoder. Give every run that resumes another one a seed of its own."""
    from training.text_to_image.transformer import train

    train(folder, minutes=minutes, rate=rate, batch=batch, seed=seed)


@app.command
def export(out: Path, *, folder: Path = Path("training-run")) -> None:
    """Write the pipeline to a folder, as it ships."""
    from training.text_to_image.export import export as write

    write(folder, out)


@app.command
def unpack(checkpoint: Path, *, folder: Path = Path("training-run")) -> None:
    """Continue from an exported model: lay its parts out where the other steps look for them."""
    from training.text_to_image.export import unpack as lay_out

    lay_out(checkpoint, folder)


@app.command
def previews(
    model: Path,
    *,
    images: Path | None = None,
    count: int = 60,
    side: int = 256,
    pixels: int = 1,
    seed: int = 0,
) -> None:
    """Fit the `preview_map` of a model, for its entry in the catalog; by default on scenes of the demo model."""
    from training.previews import as_toml, fit

    fitted = fit(model, images=images, count=count, side=side, pixels=pixels, seed=seed)
    quality = f"# R² {fitted.explained:.3f}, mean error {fitted.error:.3f}, on images that were held out"
    sys.stdout.write(f"{as_toml(fitted.rows)}\n{quality}\n")


@app.command(name="all")
def all_steps(
    out: Path,
    *,
    folder: Path = Path("training-run"),
    autoencoder_minutes: float = 20,
    transformer_minutes: float = 60,
    decoder_minutes: float = 15,
    scenes: int = 20_000,
    seed: int = 0,
) -> None:
    """Every step in turn; a second run with another seed continues where this one stopped."""
    if not (folder / "vae").exists():  # once the transformer speaks its latents, only the decoder may change
        autoencoder(folder=folder, minutes=autoencoder_minutes)
    latents(folder=folder, count=scenes, seed=seed)
    transformer(folder=folder, minutes=transformer_minutes, seed=seed)
    autoencoder(folder=folder, minutes=decoder_minutes, decoder_only=True, seed=seed + 1)
    export(out, folder=folder)


if __name__ == "__main__":
    app()
