"""What `pipelet serve` prints when it listens."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelet.cli.banner import banner
from pipelet.settings import load
from pipelet.wiring.catalog import read_catalog
from tests.support.jobs import APP, EDIT

TWO_MODELS = f"""
[models.edits]
source = "e"
max_input_images = 3
requires_input_image = true

[apps.{EDIT}]
model = "edits"
"""
HERE = "http://127.0.0.1:8000"


def text_of(folder: Path, *, is_terminal: bool = False, **flags: Any) -> str:
    chosen = load(data_dir=folder, **flags)
    return banner(chosen, read_catalog(chosen), HERE, "pk_secret", None, is_terminal=is_terminal)


def example_in(text: str) -> tuple[str, dict[str, Any]]:
    """The app and the body of the command that can be pasted."""
    app = text.partition("/fal/queue/")[2].split()[0]
    return app, json.loads(text.partition("-d '")[2].rpartition("'")[0])


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_first_key_is_shown_on_a_terminal_only(tmp_path: Path, is_terminal: bool) -> None:
    """Elsewhere, such as in a journal, it would stay: the lines that can be pasted read it from its file."""
    text = text_of(tmp_path, is_terminal=is_terminal, tls=True)

    assert (2 if is_terminal else 0) == text.count("pk_secret")
    assert is_terminal != (f'-H "Authorization: Bearer $(cat {tmp_path}/local-key)"' in text)
    assert is_terminal != (f'FAL_KEY="$(cat {tmp_path}/local-key)"' in text)


def test_several_models_are_named_with_their_apps(tmp_path: Path) -> None:
    """There is no such line for one model, or where no worker is started here."""
    two = tmp_path / "two.toml"
    two.write_text(TWO_MODELS)
    line = f"Each of 2 models has a worker of its own: demo serves {APP}; edits serves {EDIT}\n"

    assert line in text_of(tmp_path, catalog=two)
    of_one: list[dict[str, Any]] = [{"worker_app": APP}, {"catalog": two, "worker_app": EDIT}]
    for flags in (*of_one, {"catalog": two, "workers": 0}):
        assert "worker" not in text_of(tmp_path, **flags)


def test_the_example_is_of_an_app_that_is_served_here(tmp_path: Path) -> None:
    """Text-to-image where there is one; an edit, with an image in it, where the workers here do nothing else."""
    two = tmp_path / "two.toml"
    two.write_text(TWO_MODELS)

    text = {"prompt": "a red apple on a light blue background", "width": 256, "height": 256}
    of_text: list[dict[str, Any]] = [{}, {"catalog": two}, {"catalog": two, "worker_app": EDIT, "workers": 0}]
    for flags in of_text:
        assert (APP, text) == example_in(text_of(tmp_path, **flags))
    of_edits: list[dict[str, Any]] = [{"catalog": two, "worker_app": EDIT}, {"model": "qwen-image-edit"}]
    for flags in of_edits:
        app, body = example_in(text_of(tmp_path, **flags))
        assert (EDIT, True) == (app, body["image_urls"][0].startswith("data:image/png;base64,"))
