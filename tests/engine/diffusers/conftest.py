from typing import Any

import diffusers
import pytest
import torch

from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import native_dtype
from tests.engine.diffusers.tiny_models.z_image import TINY


@pytest.fixture(scope="module")
def tiny(tiny_z_image: str) -> DiffusersBackend:
    return DiffusersBackend.load(model=TINY, source=tiny_z_image, device="cpu")


@pytest.fixture(scope="module")
def plain(tiny_z_image: str) -> Any:
    """The same checkpoint, as a plain script calls it."""
    pipe = diffusers.ZImagePipeline.from_pretrained(tiny_z_image, dtype=native_dtype(torch.device("cpu")))
    pipe.set_progress_bar_config(disable=True)
    pipe.vae.enable_slicing()
    return pipe
