"""Which entry of the catalog a chosen model gets its fields from."""

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import OperationalError
from pipelet.settings import Settings, load
from pipelet.wiring.catalog import apps_of_workers, log_model, model_of_worker, models_of_workers, read_catalog
from pipelet.wiring.catalog_parser import parse
from tests.support.jobs import APP, EDIT


def saved(folder: Path, *, shift: float, name: str = "ZImagePipeline", source: str = "") -> Path:
    """What of a model folder tells which model it is."""
    (folder / "scheduler").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name, "_name_or_path": source}))
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"shift": shift}))
    return folder


def generating_model(choice: str | Path, **more: Any) -> ModelConfig:
    catalog = read_catalog(Settings(model=str(choice), **more))
    return catalog.model_of(catalog.apps["z-image-text-to-image"])


def fields(model: ModelConfig) -> tuple[int, float, int, int]:
    return model.num_inference_steps, model.guidance_scale, len(model.native_pixels), model.max_input_images


TURBO, BASE, DEFAULTS = (8, 0.0, 2, 1), (28, 4.0, 2, 1), (28, 4.0, 0, 0)


def test_the_source_of_an_entry_is_the_entry() -> None:
    """A hub id that the catalog knows is not an unknown model, also at a revision, which is kept."""
    assert "z-image-turbo" == generating_model("Tongyi-MAI/Z-Image-Turbo").name
    pinned = generating_model("Tongyi-MAI/Z-Image-Turbo@main")
    assert (TURBO, "Tongyi-MAI/Z-Image-Turbo@main") == (fields(pinned), pinned.source)


def test_a_folder_is_recognized_by_what_it_holds(tmp_path: Path) -> None:
    """By where it was saved from, else by pipeline and scheduler: a copy of Turbo takes 8 steps without guidance."""
    turbo, base = saved(tmp_path / "a", shift=3.0), saved(tmp_path / "b", shift=6.0)
    named = saved(tmp_path / "c", shift=1.0, source="Tongyi-MAI/Z-Image-Turbo")
    base_of_klein = saved(tmp_path / "d", shift=3.0, name="Flux2KleinPipeline")  # of the distilled one's class
    other = saved(tmp_path / "e", shift=4.0)

    assert [TURBO, BASE, TURBO, DEFAULTS] == [fields(generating_model(each)) for each in (turbo, base, named, other)]
    assert (str(turbo), str(turbo)) == (generating_model(turbo).name, generating_model(turbo).source)
    assert DEFAULTS == fields(generating_model(base_of_klein))


@pytest.mark.parametrize("revision", ["", "@main", "@v1"])
def test_a_model_in_the_cache_of_the_hub_is_recognized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    """Also at a revision: the hub's id of a copy says nothing of the model."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "models--owner--copy"
    saved(cached / "snapshots" / "abc", shift=3.0)
    (cached / "refs").mkdir()
    for name in ("main", "v1"):
        (cached / "refs" / name).write_text("abc")

    assert TURBO == fields(generating_model(f"owner/copy{revision}"))


def test_defaults_are_said_at_start(tmp_path: Path) -> None:
    """Of a model that is not recognized, with the entry that would set them; of others nothing, or where from."""
    unknown, turbo = saved(tmp_path / "a", shift=9.0), saved(tmp_path / "b", shift=3.0)
    lines = []
    for choice in (str(unknown), str(turbo), "z-image-turbo", ""):
        settings = load(model=choice)
        with structlog.testing.capture_logs() as logged:
            log_model(settings, read_catalog(settings))
        lines.append(logged)

    assert [("model.defaults", 28, 4.0)] == [
        (line["event"], line["num_inference_steps"], line["guidance_scale"]) for line in lines[0]
    ]
    assert "[models.NAME]" in lines[0][0]["advice"]
    assert [("model.recognized", "z-image-turbo")] == [(line["event"], line["like"]) for line in lines[1]]
    assert [[], []] == lines[2:]


def test_workers_load_the_models_of_all_apps_or_of_one(tmp_path: Path) -> None:
    """An app stands for each model, none where there is one; an unknown app is refused with those that there are."""
    mine = tmp_path / "catalog.toml"
    mine.write_text('[models.demo]\nedit_model = "flux2-klein"\n')

    def chosen(**flags: Any) -> tuple[list[str], tuple[str | None, ...]]:
        settings = load(**flags)
        catalog = read_catalog(settings)
        return [model.name for model in models_of_workers(settings, catalog)], apps_of_workers(settings, catalog)

    assert (["demo", "demo-edit"], (APP, EDIT)) == chosen()
    assert (["demo", "flux2-klein"], (APP, EDIT)) == chosen(catalog=mine)
    assert (["flux2-klein"], (None,)) == chosen(catalog=mine, worker_app=EDIT)
    assert (["z-image-turbo"], (None,)) == chosen(catalog=mine, model="z-image-turbo")
    with pytest.raises(OperationalError, match=f"no app 'none'; it has {APP}, {EDIT}"):
        chosen(worker_app="none")
    settings = load(catalog=mine)
    with pytest.raises(OperationalError, match=rf"several models \(demo, flux2-klein\).* --app {APP}"):
        model_of_worker(settings, read_catalog(settings))


def test_an_entry_may_be_like_another(tmp_path: Path) -> None:
    """It has the fields of that one, but for those that it names."""
    mine = tmp_path / "catalog.toml"
    mine.write_text('[models.mine]\nlike = "z-image-turbo"\nsource = "/models/mine"\nnum_inference_steps = 6\n')

    model = generating_model("mine", catalog=mine)

    assert ("/models/mine", "ZImagePipeline", 6, 0.0) == (
        model.source,
        model.pipeline,
        model.num_inference_steps,
        model.guidance_scale,
    )
    assert TURBO == fields(generating_model(saved(tmp_path / "a", shift=3.0), catalog=mine))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ('[models.a]\nlike = "b"', "models.a is like 'b', which has no entry"),
        ('[models.a]\nlike = "b"\n[models.b]\nlike = "a"', "is like itself: a → b → a"),
        ("[apps.a]\nlimits = 3", "apps.a.limits in the catalog must be a table"),
        ('[models.a]\nname = "b"\nsource = "x"', "unknown fields: name. Known: .*source"),
        ('[models.a]\nsource = "x"\nallow_pickle = 1', "allow_pickle must be a valid boolean"),
        ('[models.a]\nsource = "x"\nsize_multiple = true', "size_multiple must be a valid integer"),
        ('[models.a]\nsource = "x"\npreview_map = [[1, 2], [3, 4]]', "preview_map must have a row for each channel"),
        ('[models.a]\nsource = "x"\npreview_map = [["red"]]', "preview_map must be a valid number"),
        ('[models.a]\nsource = "x"\nedit_model = "b"', "models.a names the edit_model 'b', which has no entry"),
        (
            '[models.a]\nsource = "x"\nedit_model = "b"\n[models.b]\nsource = "y"',
            "the edit_model 'b', which takes no input images: give that model max_input_images",
        ),
        ('[models.a]\nsource = "x"\ninput_image_size = "64x64"', "input_image_size needs max_input_images"),
        (
            '[models.a]\nsource = "x"\nmax_input_images = 1\nstrength = 0.5\ninput_image_size = "64x64"',
            "and no strength: an image that is generated over",
        ),
        (
            '[models.a]\nsource = "x"\nmax_input_images = 1\nsize_multiple = 32\ninput_image_size = "80x96"',
            "multiples of size_multiple, 32, and at least 64",
        ),
        ('[models.a]\nsource = "x"\nmax_input_images = 1\ninput_image_size = "small"', "no size|not a size"),
        ('[models.a]\nsource = 1\nstrength = "x"', "source must be a valid string .*; strength must be a valid number"),
    ],
)
def test_mistakes_in_a_catalog_are_named(document: str, complaint: str) -> None:
    """A missing or circular `like`, unknown fields, and every value of the wrong type."""
    with pytest.raises(OperationalError, match=complaint):
        parse(document)


def test_a_name_that_is_neither_entry_nor_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that there are come with the refusal."""
    with pytest.raises(
        OperationalError, match=r"has no model 'turbo'.* has demo, demo-edit, z-image-turbo, .*owner/name"
    ):
        generating_model("turbo")
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "turbo", shift=3.0)
    assert TURBO == fields(generating_model("turbo"))
