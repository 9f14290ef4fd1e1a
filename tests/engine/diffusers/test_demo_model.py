"""The demo model, as it ships."""

from importlib.resources import files
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from pipelet.domain.generation.image import InputImage
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import native_dtype
from pipelet.engine.sources import resolve
from pipelet.wiring.catalog_parser import parse
from tests.engine.diffusers.calls import generate_images
from training.judge import background, recognise
from training.text_to_image.export import model_card
from training.text_to_image.latents import SIZES

DEMO = Path(resolve("package:demo"))
ENTRY = parse(files("pipelet").joinpath("catalog.toml").read_text("utf-8")).models["demo"]


@pytest.fixture(scope="module")
def pipe():
    loaded = diffusers.ZImagePipeline.from_pretrained(DEMO, dtype=native_dtype(torch.device("cpu")))
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture(scope="module")
def backend():
    return DiffusersBackend.load(model=ENTRY, source=str(DEMO), device="cpu")


def test_it_is_small_and_readable_by_all():
    """It travels in every wheel, and the service may run as another user than the one who installed it."""
    shipped = [file for file in DEMO.rglob("*") if file.is_file()]

    assert sum(file.stat().st_size for file in shipped) <= 20_000_000
    assert {0o644} == {file.stat().st_mode & 0o777 for file in shipped}


def test_its_card_lists_what_it_knows_and_whose_work_it_is():
    """The card is as the vocabulary is now, and the licence of the images it learnt from travels along."""
    assert model_card() == (DEMO / "README.md").read_text("utf-8")
    assert "Copyright (c) Microsoft Corporation" in (DEMO / "NOTICE").read_text("utf-8")


def test_the_catalog_says_what_it_was_trained_for(pipe):
    """Sizes, marks and the longest caption are those of the training."""
    assert [f"{width}x{height}" for width, height in SIZES] == list(ENTRY.native_sizes)
    assert sorted(pipe.tokenizer.get_added_vocab()) == sorted(ENTRY.special_tokens)


def test_it_generates_over_an_image(pipe):
    """Image to image with the same weights: a new background, while what is not spoken of stays where it was."""
    again = diffusers.ZImageImg2ImgPipeline(**pipe.components)
    again.set_progress_bar_config(disable=True)
    start = Image.new("RGB", (256, 256), (160, 210, 245))
    start.paste((214, 48, 49), (80, 80, 176, 176))

    def regenerated(prompt: str, strength: float) -> np.ndarray:
        generator = torch.Generator().manual_seed(1)
        image = again(
            prompt, image=start, strength=strength, num_inference_steps=8, guidance_scale=0.0, generator=generator
        ).images[0]
        return np.asarray(image, np.float32)

    near, far = regenerated("a red square on a light blue background", 0.25), regenerated("a yellow background", 1.0)
    original = np.asarray(start, np.float32)
    assert np.abs(near - original).mean() < np.abs(far - original).mean()
    assert np.abs(regenerated("a tomato on a green background", 0.8) - regenerated("a lemon", 0.8)).mean() > 5


@pytest.mark.parametrize(
    ("prompt", "thing", "ground"),
    [
        ("a green apple on a light blue background", "green apple", "light blue"),
        ("a lemon on a light blue background", "lemon", "light blue"),
        ("a red apple on a yellow background", "red apple", "yellow"),
    ],
)
def test_it_edits_what_it_generated(backend, make_spec, prompt, thing, ground):
    """At the catalog's strength an apple gets another colour, becomes a lemon, or gets another background; what the
    prompt leaves as it was stays."""
    wanted = {"width": 256, "height": 256, "num_inference_steps": 8, "guidance_scale": 1.5, "seed": 1}
    apple = generate_images(backend, make_spec("a red apple on a light blue background", **wanted))[0]
    input_image = InputImage(key="apple.png", width=256, height=256)

    edited = generate_images(backend, make_spec(prompt, input_images=(input_image,), **wanted), input_images=[apple])[0]

    assert ("red apple", "light blue") == (recognise(apple)[0].thing.name, background(apple))
    assert (thing, ground) == (recognise(edited)[0].thing.name, background(edited))
