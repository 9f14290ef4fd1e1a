"""Inputs that are shown as examples."""

import pytest

from pipelet.domain.catalog import EDIT, App, ModelConfig
from pipelet.services.examples.inputs import example_input


@pytest.mark.parametrize(("most", "count"), [(1, 1), (2, 1), (3, 3), (8, 3)])
def test_an_edit_starts_from_as_many_images_as_its_model_takes(most: int, count: int) -> None:
    """Three, or one if the model takes fewer than three. A caller that changes its example changes no other."""
    app, model = App(name="edits", task=EDIT, model="m"), ModelConfig(name="m", source="s", max_input_images=most)

    found = example_input(app, model)
    assert count == len(set(found["image_urls"]))
    assert all(url.startswith("data:image/png;base64,") for url in found["image_urls"])
    found["image_urls"].clear()
    assert count == len(example_input(app, model)["image_urls"])
