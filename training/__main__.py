"""`python -m training`: train the model in the box."""

from pathlib import Path

from cyclopts import App

app = App(
    name="training", help="Train the model in the box, from nothing, step by step. Each step resumes what it finds."
)


@app.command
def autoencoder(
    *, folder: Path = Path("training-run"), minutes: float = 25, rate: float = 2e-3, decoder_only: bool = False
) -> None:
    """Train the autoencoder, or only its decoder."""
    from training.autoencoder import train

    train(folder / "vae", minutes=minutes, rate=rate, decoder_only=decoder_only)


if __name__ == "__main__":
    app()
