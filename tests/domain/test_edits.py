"""Edits: who draws them, and what they cost."""

from typing import Any

import pytest

from pipelet.domain.catalog import Catalog, Model
from pipelet.domain.errors import Unusable
from pipelet.domain.estimate import drawing
from pipelet.domain.image import ImageSpec, Reference
from pipelet.domain.progress import tasks_of_job
from pipelet.domain.sizes import Size
from pipelet.wiring.catalog import parse
from tests.jobs import make_spec

MODELS = """
[models.any]
source = ""
[models.text]
source = "t"
[models.both]
source = "b"
max_references = 1
[models.edits]
source = "e"
max_references = 3
needs_references = true
[apps.draw]
task = "text-to-image"
model = "{draw}"
[apps.edit]
task = "image-edit"
"""


def catalog(draw: str = "both", more: str = "") -> Catalog:
    return parse(MODELS.format(draw=draw), more)


def models(of: Catalog) -> tuple[str | None, str | None]:
    return of.apps["draw"].model, of.apps["edit"].model


def model(**fields: Any) -> Model:
    return Model(**{"name": "m", "source": "x", "max_references": 3, **fields})


def edit(*sizes: tuple[int, int], **changes: Any) -> ImageSpec:
    references = tuple(Reference(key=f"{k}", width=width, height=height) for k, (width, height) in enumerate(sizes))
    return make_spec(references=references, **changes)


def test_an_edit_app_shares_the_model_that_draws_where_that_can_edit() -> None:
    """Their requests wait for the same workers; of a model that takes no references, nothing serves the edit app."""
    assert ("draw", "edit") == catalog().apps_of("both")
    assert ("text", None) == models(catalog("text"))
    assert ("text", "edits") == models(catalog("text", '[apps.edit]\nmodel = "edits"'))


def test_where_several_models_draw_an_edit_app_has_to_name_its_own() -> None:
    """Which of them it would share is not for us to guess."""
    assert ("both", None) == models(catalog(more='[apps.other]\ntask = "text-to-image"\nmodel = "text"'))


def test_a_chosen_model_serves_what_it_can() -> None:
    """The edit app follows a model that takes references, is served by nothing under one that does not, and stays
    where it names its own."""
    assert ("both", "both") == models(catalog("text").with_model("both"))
    assert ("text", None) == models(catalog().with_model("text"))
    assert ("a/hub-id", None) == models(catalog().with_model("a/hub-id"))
    assert (None, "edits") == models(catalog().with_model("edits"))
    assert ("text", "both") == models(catalog(more='[apps.edit]\nmodel = "both"').with_model("text"))


def test_a_chosen_model_that_can_serve_nothing_is_refused() -> None:
    """A model that only edits, in a catalog whose edit app has a model of its own."""
    with pytest.raises(Unusable, match="edits draws edits only"):
        catalog(more='[apps.edit]\nmodel = "both"').with_model("edits")


def test_strength_shortens_the_drawing() -> None:
    """Half of the picture is half of the steps, the model's own strength where the request names none, and none where
    the model takes none."""
    spec, strong = edit((96, 64), num_inference_steps=8), model(strength=0.75)

    assert 6 == strong.draw_steps(spec)
    assert 4 == strong.draw_steps(edit((96, 64), num_inference_steps=8, strength=0.5))
    assert 1 == strong.draw_steps(edit((96, 64), num_inference_steps=8, strength=0.0))
    assert 8 == strong.draw_steps(make_spec(num_inference_steps=8))
    assert 8 == model().draw_steps(edit((96, 64), num_inference_steps=8, strength=0.5))


def test_an_edit_has_one_task_more() -> None:
    """Encoding its pictures, however many they are; its steps are those that are taken."""
    assert 13 == tasks_of_job(edit((96, 64), (64, 64), num_inference_steps=8), model(), 1)
    assert 13 - 2 == tasks_of_job(edit((96, 64), num_inference_steps=8), model(strength=0.75), 1)


def test_references_are_work_in_every_step_or_once() -> None:
    """A model that looks at them does so in each step, at no more than a megapixel; one that begins with its reference
    encodes it, and saves steps."""
    plain = drawing(make_spec(num_inference_steps=8), model())
    two, huge, started = (
        drawing(edit((96, 64), (96, 64), num_inference_steps=8), model()),
        drawing(edit((96, 64), (8000, 8000), num_inference_steps=8), model()),
        drawing(edit((96, 64), num_inference_steps=8), model(strength=0.75)),
    )

    assert pytest.approx(3 * plain.megapixel_steps) == two.megapixel_steps
    assert pytest.approx(9 * plain.attention) == two.attention
    assert pytest.approx((2 * 0.006144 + 1.048576) * 8) == huge.megapixel_steps
    assert (6, 2 * plain.megapixels) == pytest.approx((started.steps, started.megapixels))
    assert pytest.approx(0.75 * plain.attention) == started.attention


def test_references_take_memory_beside_what_is_drawn() -> None:
    """So fewer images fit one run; a picture that is drawn from its reference takes no more than one from nothing."""
    assert pytest.approx(3 * 0.006144) == model().megapixels_held(edit((96, 64), (64, 96)))
    assert pytest.approx(0.006144) == model(strength=0.5).megapixels_held(edit((500, 500)))


def test_what_is_shown_to_a_model_is_no_larger_than_it_looks_at() -> None:
    """Several references keep their aspect ratio, at a megapixel; the one that a picture begins as gets its size."""
    spec = edit((640, 480), (4096, 1024), width=100, height=50)

    assert [Size(640, 480), Size(2048, 512)] == list(model().looked_at(spec))
    assert [Size(64, 64)] * 2 == list(model(strength=0.5, native_sizes=("64x64",)).looked_at(spec))
