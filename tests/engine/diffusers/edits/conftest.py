from collections.abc import Callable, Iterator
from typing import Any

import diffusers
import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as qwen

from pipelet.domain.generation.image import ImageSpec, InputImage
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import dtype_of
from pipelet.engine.diffusers.loading.pipeline import without_torchvision
from tests.engine.calls import MakeSpec, Pixels
from tests.engine.diffusers.edits.models import MODELS, SEVERAL, STEPS, Edits, EditsOf
from tests.engine.diffusers.tiny_models.edits import make_klein, make_omni, make_qwen_edit


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_z_image: str) -> Callable[[str], str]:
    made = {"img2img": tiny_z_image}

    def of(name: str) -> str:
        if name not in made:
            made[name] = str(tmp_path_factory.mktemp(name))
            makers = {"omni": make_omni, "klein": make_klein, "qwen": make_qwen_edit}
            makers[name](tmp_path_factory.getbasetemp() / made[name])
        return made[name]

    return of


@pytest.fixture(scope="package")
def edits_of(folder: Callable[[str], str]) -> Iterator[EditsOf]:
    """By name of `MODELS`, loaded once."""
    loaded: dict[str, Edits] = {}

    def of(name: str) -> Edits:
        if name not in loaded:
            where, model = folder(name), MODELS[name]
            backend = DiffusersBackend.load(model=model, source=where, device="cpu")
            kind = getattr(diffusers, model.edit_pipeline or model.pipeline)
            dtype = dtype_of(model, kind.__name__, torch.device("cpu"))
            plain = kind.from_pretrained(where, dtype=dtype, **without_torchvision(kind, where))
            plain.set_progress_bar_config(disable=True)
            plain.vae.enable_slicing()
            loaded[name] = Edits(name, where, backend, plain)
        return loaded[name]

    # It shows the model every image at a megapixel, which takes a second or more even of a tiny one.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(qwen, "VAE_IMAGE_SIZE", 64 * 64)
        patched.setattr(qwen, "CONDITION_IMAGE_SIZE", 56 * 56)
        yield of


@pytest.fixture(params=list(MODELS))
def edits(request: pytest.FixtureRequest, edits_of: EditsOf) -> Edits:
    return edits_of(str(request.param))


@pytest.fixture(params=SEVERAL)
def several(request: pytest.FixtureRequest, edits_of: EditsOf) -> Edits:
    return edits_of(str(request.param))


@pytest.fixture
def make_edit(make_spec: MakeSpec) -> MakeSpec:
    """Of a request for the images, which the worker would have brought along."""

    def make(
        *images: Pixels, prompt: str = "the boat of the first image on the table of the second", **changes: Any
    ) -> ImageSpec:
        input_images = tuple(
            InputImage(key=f"{number}.png", width=pixels.shape[1], height=pixels.shape[0])
            for number, pixels in enumerate(images)
        )
        values = {"width": 96, "height": 64, "num_inference_steps": STEPS, "input_images": input_images}
        return make_spec(prompt, **(values | changes))

    return make
