"""Edits: who generates them, and what they cost."""

from typing import Any

import pytest

from pipelet.domain.capacity.cost_model import generation_work
from pipelet.domain.catalog import Catalog, ModelConfig
from pipelet.domain.errors import OperationalError
from pipelet.domain.generation.image import ImageSpec, InputImage
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.generation.sizes import Size
from pipelet.domain.jobs.progress import tasks_per_job
from pipelet.wiring.catalog_parser import parse
from tests.support.jobs import make_spec

MODELS = """
[models.any]
source = ""
[models.text]
source = "t"
[models.both]
source = "b"
max_input_images = 1
[models.edits]
source = "e"
max_input_images = 3
requires_input_image = true
[apps.text]
task = "text-to-image"
model = "{text_model}"
[apps.edit]
task = "image-edit"
"""


def catalog(text_model: str = "both", more: str = "") -> Catalog:
    return parse(MODELS.format(text_model=text_model), more)


def models(of: Catalog) -> tuple[str | None, str | None]:
    return of.apps["text"].model, of.apps["edit"].model


def model(**fields: Any) -> ModelConfig:
    return ModelConfig(**{"name": "m", "source": "x", "max_input_images": 3, **fields})


def edit(*sizes: tuple[int, int], **changes: Any) -> ImageSpec:
    input_images = tuple(InputImage(key=f"{k}", width=width, height=height) for k, (width, height) in enumerate(sizes))
    return make_spec(input_images=input_images, **changes)


def test_an_edit_app_shares_the_model_that_generates_where_that_can_edit() -> None:
    """Their requests wait for the same workers; of a model that takes no input images, nothing serves the edit app."""
    assert ("text", "edit") == catalog().apps_of("both")
    assert ("text", None) == models(catalog("text"))
    assert ("text", "edits") == models(catalog("text", '[apps.edit]\nmodel = "edits"'))


def test_a_model_may_leave_edits_to_another() -> None:
    """The edit app gets the model that the entry of text-to-image names, also where `--model` chooses that entry; any
    other choice moves both apps, as if there were no such line, and an app that names its own model keeps it."""
    two = catalog(more='[models.both]\nedit_model = "edits"')

    assert ("both", "edits") == models(two) == models(two.with_model("both"))
    assert ("both", "edits") == two.served_models()
    assert ("text", None) == models(two.with_model("text"))
    assert (None, "edits") == models(two.with_model("edits"))
    assert ("both", "both") == models(catalog(more='[models.both]\nedit_model = "edits"\n[apps.edit]\nmodel = "both"'))


def test_where_several_models_generate_an_edit_app_has_to_name_its_own() -> None:
    """Which of them it would share is not for us to guess."""
    assert ("both", None) == models(catalog(more='[apps.other]\ntask = "text-to-image"\nmodel = "text"'))


def test_a_chosen_model_serves_what_it_can() -> None:
    """The edit app follows a model that takes input images, is served by nothing under one that does not, and stays
    where it names its own."""
    assert ("both", "both") == models(catalog("text").with_model("both"))
    assert ("text", None) == models(catalog().with_model("text"))
    assert ("a/hub-id", None) == models(catalog().with_model("a/hub-id"))
    assert (None, "edits") == models(catalog().with_model("edits"))
    assert ("text", "both") == models(catalog(more='[apps.edit]\nmodel = "both"').with_model("text"))


def test_a_chosen_model_that_can_serve_nothing_is_refused() -> None:
    """A model that only edits, in a catalog whose edit app has a model of its own."""
    with pytest.raises(OperationalError, match="edits only edits"):
        catalog(more='[apps.edit]\nmodel = "both"').with_model("edits")


def test_strength_shortens_the_generation() -> None:
    """Half of the image is half of the steps, the model's own strength where the request names none, and none where
    the model takes none."""
    spec, strong = edit((96, 64), num_inference_steps=8), model(strength=0.75)

    assert 6 == plan_generation(spec, strong).denoise_steps
    assert 4 == plan_generation(edit((96, 64), num_inference_steps=8, strength=0.5), strong).denoise_steps
    assert 1 == plan_generation(edit((96, 64), num_inference_steps=8, strength=0.0), strong).denoise_steps
    assert 8 == plan_generation(make_spec(num_inference_steps=8), strong).denoise_steps
    assert 8 == plan_generation(edit((96, 64), num_inference_steps=8, strength=0.5), model()).denoise_steps


def test_an_edit_has_one_task_more() -> None:
    """Encoding its images, however many they are; its steps are those that are taken."""
    assert 13 == tasks_per_job(plan_generation(edit((96, 64), (64, 64), num_inference_steps=8), model()), 1)
    assert 13 - 2 == tasks_per_job(plan_generation(edit((96, 64), num_inference_steps=8), model(strength=0.75)), 1)


def test_input_images_are_work_in_every_step_or_once() -> None:
    """A model that looks at them does so in each step, at no more than a megapixel; one that begins with its image
    encodes it, and saves steps."""
    plain = generation_work(plan_generation(make_spec(num_inference_steps=8), model()))
    two, huge, started = (
        generation_work(plan_generation(edit((96, 64), (96, 64), num_inference_steps=8), model())),
        generation_work(plan_generation(edit((96, 64), (8000, 8000), num_inference_steps=8), model())),
        generation_work(plan_generation(edit((96, 64), num_inference_steps=8), model(strength=0.75))),
    )

    assert pytest.approx(3 * plain.megapixel_steps) == two.megapixel_steps
    assert pytest.approx(9 * plain.attention) == two.attention
    assert pytest.approx((2 * 0.006144 + 1.048576) * 8) == huge.megapixel_steps
    assert (6, 2 * plain.megapixels) == pytest.approx((started.steps, started.megapixels))
    assert pytest.approx(0.75 * plain.attention) == started.attention


def test_input_images_take_memory_besides_what_is_generated() -> None:
    """So fewer images fit one run; an image that is generated from its input image takes no more than one from
    nothing."""
    assert pytest.approx(3 * 0.006144) == plan_generation(edit((96, 64), (64, 96)), model()).memory_megapixels
    assert pytest.approx(0.006144) == plan_generation(edit((500, 500)), model(strength=0.5)).memory_megapixels


def test_a_model_may_read_its_input_images_at_one_size() -> None:
    """Whatever size they have: work and memory are those of this size."""
    of_one_size = model(input_image_size="128x64")

    small, large = (plan_generation(edit(size, size), of_one_size) for size in ((64, 64), (4096, 64)))

    assert [Size(128, 64)] * 2 == list(small.input_image_sizes) == list(large.input_image_sizes)
    assert generation_work(small) == generation_work(large)
    assert pytest.approx(0.006144 + 2 * 0.008192) == small.memory_megapixels == large.memory_megapixels


def test_what_is_shown_to_a_model_is_no_larger_than_it_looks_at() -> None:
    """Several input images keep their aspect ratio, at a megapixel; the one that an image begins as gets its size."""
    spec = edit((640, 480), (4096, 1024), width=100, height=50)

    generated_over = model(strength=0.5, native_sizes=("64x64",))
    assert [Size(640, 480), Size(2048, 512)] == list(plan_generation(spec, model()).input_image_sizes)
    assert [Size(64, 64)] * 2 == list(plan_generation(spec, generated_over).input_image_sizes)
