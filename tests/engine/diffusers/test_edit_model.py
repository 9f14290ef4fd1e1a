"""The edit model, as it ships."""

from importlib.resources import files
from pathlib import Path

import pytest

from pipelet.domain.generation.image import InputImage
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.sources import resolve
from pipelet.wiring.catalog_parser import parse
from tests.engine.diffusers.calls import generate_images
from training.edit import evaluation, export
from training.edit.judge import judge
from training.edit.model import LENGTH
from training.edit.scenes import FRAME, SIDE

MODEL = Path(resolve("package:edit"))
ENTRY = parse(files("pipelet").joinpath("catalog.toml").read_text("utf-8")).models["demo-edit"]


@pytest.fixture(scope="module")
def backend():
    return DiffusersBackend.load(model=ENTRY, source=str(MODEL), device="cpu")


def test_it_is_small_and_readable_by_all():
    """It travels in every wheel, with its card and the licence of the images that it learnt from."""
    shipped = [file for file in MODEL.rglob("*") if file.is_file()]

    assert sum(file.stat().st_size for file in shipped) <= 20_000_000
    assert {0o644} == {file.stat().st_mode & 0o777 for file in shipped}
    assert Path(export.__file__).with_name("model_card.md").read_text() == (MODEL / "README.md").read_text()
    assert "Copyright (c) Microsoft Corporation" in (MODEL / "NOTICE").read_text("utf-8")


def test_the_catalog_says_what_it_was_trained_for():
    """The sizes of images and references, their number, the steps, the length of a prompt, and the marks in it."""
    pipe = export.load(MODEL)

    assert ((f"{SIDE}x{SIDE}",), f"{FRAME}x{FRAME}") == (ENTRY.native_sizes, ENTRY.input_image_size)
    assert (3, LENGTH, export.STEPS) == (ENTRY.max_input_images, ENTRY.max_prompt_tokens, ENTRY.num_inference_steps)
    assert sorted(pipe.tokenizer.get_added_vocab()) == sorted(ENTRY.special_tokens)


@pytest.mark.parametrize(
    "kind", ["one", "pair", "above", "three", "before", "background", "move", "remove", "unmentioned"]
)
def test_it_does_what_its_card_says(backend, make_spec, kind):
    """With things that training never saw, as our engine calls it: each is at its place, and nothing else is there."""
    task = evaluation.task(kind, 1, held_out=True)
    inputs = tuple(InputImage(key=f"{number}.png", width=FRAME, height=FRAME) for number in range(len(task.references)))
    spec = make_spec(task.caption, width=SIDE, height=SIDE, num_inference_steps=8, input_images=inputs)

    [image] = generate_images(backend, spec, input_images=task.references)

    assert judge(image, task.scene, task.gallery).right
