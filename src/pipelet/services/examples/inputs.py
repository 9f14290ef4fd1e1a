"""Inputs that an app takes, which `/docs`, the page and `pipelet serve` show. They need no network."""

import base64
from functools import cache
from importlib.resources import files
from typing import Any

from pipelet.domain.catalog import EDIT, App, ModelConfig

PROMPT = "a red apple on a light blue background"
"""What the demo model generates well."""
EDIT_PROMPT = (
    "The girl from first image is playing chess with the girl from second image, on the ancient table from third image."
)
_SIZE = {"width": 256, "height": 256}


def example_input(app: App, model: ModelConfig) -> dict[str, Any]:
    """Return an input of this app. An edit starts from three images if the model takes three; otherwise from one."""
    if app.task != EDIT:
        return {"prompt": PROMPT, **_SIZE, "batch_size": 2}
    if model.max_input_images < len(_images()):
        return {"prompt": PROMPT, "image_urls": [_images()[0]], **_SIZE}
    return {"prompt": EDIT_PROMPT, "image_urls": list(_images()), **_SIZE}


@cache
def _images() -> tuple[str, ...]:
    """Return two girls and a table, 64x64 pixels each, as data: URIs."""
    folder = files("pipelet.services.examples")
    contents = [(folder / f"{name}.png").read_bytes() for name in ("first", "second", "third")]
    return tuple(f"data:image/png;base64,{base64.b64encode(content).decode()}" for content in contents)
