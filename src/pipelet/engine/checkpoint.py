"""Looks at a model folder before it is loaded, to say what is wrong with it in words that help."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pipelet.domain.errors import ModelUnusable

_ADVICE = "Point PIPELET_MODEL at a diffusers folder, or at a model of the hub by its id, such as owner/name."


def check(source: str) -> str | None:
    """The folder that `source` names, or None where it is a hub id.

    Raises:
        ModelUnusable: the folder is not there, is no checkpoint, or has a damaged file.
    """
    folder = Path(source).expanduser()
    if not folder.exists():
        if folder.is_absolute() or source.startswith((".", "~")) or source.count("/") != 1:
            raise ModelUnusable(f"There is no model folder {source}. {_ADVICE}")
        return None
    if not (folder / "model_index.json").is_file():
        raise ModelUnusable(f"The model folder {folder} has no model_index.json. {_ADVICE}")
    for file in sorted(folder.rglob("*.safetensors")):
        _check_weights(file)
    return str(folder)


def pipeline_of(folder: str) -> str:
    """The class that made the checkpoint."""
    index = Path(folder) / "model_index.json"
    try:
        return str(json.loads(index.read_text("utf-8"))["_class_name"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelUnusable(f"The file {index} does not name a pipeline. Copy or download the model again.") from error


def _check_weights(file: Path) -> None:
    try:
        # Reads the header only, and compares what it promises with the file's size.
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelUnusable(f"The file {file} is damaged ({error}). Copy or download the model again.") from error
