"""The fit of the map from latents to colours."""

import tomllib
from pathlib import Path

import pytest

from pipelet.engine.sources import resolve
from training.previews import as_toml, fit

DEMO = Path(resolve("package:demo"))


@pytest.mark.parametrize(("pixels", "numbers"), [(1, 3), (2, 12)])
def test_a_map_shows_images_that_it_was_not_fitted_to(pixels: int, numbers: int) -> None:
    """A few scenes are enough for the demo model's autoencoder; the rows are those that the catalog takes."""
    fitted = fit(DEMO, images=None, count=10, side=256, pixels=pixels, seed=1)

    assert fitted.explained > 0.8
    rows = tomllib.loads(as_toml(fitted.rows))["preview_map"]
    assert [numbers] * 33 == [len(row) for row in rows]
    assert fitted.rows == rows


def test_a_map_may_be_of_flux2s_latents() -> None:
    """Which are normalised by statistics of the autoencoder's own, as the transformer sees them."""
    assert fit(Path(resolve("package:edit")), images=None, count=10, side=256, pixels=2, seed=1).explained > 0.9


def test_images_may_come_from_a_folder(tmp_path: Path) -> None:
    """As they should for the autoencoder of a model that generates photographs."""
    art = Path(__file__).parents[2] / "training" / "art"

    fitted = fit(DEMO / "vae", images=art, count=6, side=128, pixels=1, seed=1)

    assert 33 == len(fitted.rows)
