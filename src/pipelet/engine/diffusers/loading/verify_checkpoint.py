"""Looks at a model folder before it is loaded, to say what is wrong with it in words that help."""

import json
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pipelet.domain.errors import ModelLoadError

_ADVICE = "Point PIPELET_MODEL at a diffusers folder, or at a model of the hub by its id, such as owner/name."
_COPY_AGAIN = "Copy or download the model again."
_SINGLE_FILES = (".safetensors", ".gguf", ".ckpt", ".pt", ".pth", ".bin", ".sft")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")
_BYTE_PAIR_TOKENIZERS = ("CLIPTokenizer", "GPT2Tokenizer", "Qwen2Tokenizer")
"""What the names of classes begin with that need `merges.txt` next to `vocab.json`."""
_POINTER = b"version https://git-lfs"
_MAX_POINTER_BYTES = 1024


def check(source: str, *, variant: str = "", allow_pickle: bool = False) -> str | None:
    """The folder that `source` names, or None where it is a hub id.

    Raises:
        ModelLoadError: the folder is not there, is no checkpoint, or has a damaged file.
    """
    folder = Path(source).expanduser()
    if not folder.exists():
        if folder.is_absolute() or source.startswith((".", "~")) or source.count("/") != 1:
            raise ModelLoadError(f"There is no model folder {source}. {_ADVICE}")
        if folder.suffix in _SINGLE_FILES:
            raise ModelLoadError(f"There is no file {source}. {_ADVICE}")
        return None
    if folder.is_file():
        raise ModelLoadError(_single_file_message(folder))
    folder = _resolve_snapshot(folder)
    if not (folder / "model_index.json").is_file():
        raise ModelLoadError(f"The model folder {folder} has no model_index.json. {_ADVICE}")
    parts = [folder / name for name in components_of(str(folder)) if (folder / name).is_dir()]
    _check_pointers([folder / "model_index.json", *(file for part in parts for file in sorted(part.rglob("*")))])
    _check_parts(parts, folder, variant, allow_pickle)
    for part in parts:
        for file in sorted(part.rglob("*.safetensors")):
            _check_weights(file)
    return str(folder)


def check_complete(folder: str, *, taken: Container[str], variant: str = "") -> None:
    """
    Args:
        taken: the parts that the pipeline takes. An index may name others, which are not loaded.

    Raises:
        ModelLoadError: one of them, or a file of one, is not there.
    """
    absent = [name for name in missing_components(folder, variant) if name.partition("/")[0] in taken]
    if absent:
        raise ModelLoadError(f"The model folder {folder} is incomplete, it lacks {', '.join(absent)}. {_COPY_AGAIN}")


def pipeline_class_name(folder: str) -> str:
    """The class that made the checkpoint."""
    index = Path(folder) / "model_index.json"
    try:
        name = _read(index)["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(f"The file {index} does not name a pipeline. {_COPY_AGAIN}") from error
    if isinstance(name, list):
        raise ModelLoadError(
            f"The model {folder} has a pipeline of its own code ({name[0]}.py), which Pipelet does not run. "
            "Name a class of diffusers that generates with it in the catalog's `pipeline`."
        )
    return str(name)


def components_of(folder: str) -> dict[str, tuple[str, str]]:
    """By name of the part, its library and class."""
    try:
        index = _read(Path(folder) / "model_index.json")
    except ValueError:  # `pipeline_class_name` reports it
        return {}
    entries = index.items() if isinstance(index, dict) else ()
    return {
        name: (of[0], of[1])
        for name, of in entries
        if not name.startswith("_") and isinstance(of, list) and len(of) == 2 and all(isinstance(x, str) for x in of)
    }


def missing_components(folder: str, variant: str = "") -> list[str]:
    """Folders that the index names, and files that a tokenizer or the indices of weights need, where they are missing.

    Where a part has weights of `variant`, its other weights need not be there.
    """
    absent = []
    for name, (_, class_name) in components_of(folder).items():
        part = Path(folder) / name
        if not part.is_dir():
            absent.append(name)
        elif class_name.startswith(_BYTE_PAIR_TOKENIZERS):
            has = {file.name for file in part.iterdir()}
            if "vocab.json" in has and not has & {"merges.txt", "tokenizer.json"}:
                absent.append(f"{name}/merges.txt")
    for shards in Path(folder).rglob("*.safetensors.index.json"):
        if has_variant(shards.parent, variant) and f".{variant}." not in shards.name:
            continue
        names = set(_read(shards).get("weight_map", {}).values())
        absent += sorted(f"{shards.parent.name}/{name}" for name in names if not (shards.parent / name).is_file())
    return absent


def has_variant(part: Path, variant: str) -> bool:
    """Whether the folder `part` holds weights of this variant, such as `model.fp16.safetensors`."""
    return bool(variant) and any(_variant_of(file) == variant for file in part.iterdir())


def _variant_of(weights: Path) -> str:
    """`fp16` for `model.fp16.safetensors` and `model.fp16-00001-of-00002.safetensors`, "" for `model.safetensors`."""
    middle = weights.name.split(".")[1:-1]
    return middle[0].partition("-")[0] if middle else ""


def _check_parts(parts: Iterable[Path], folder: Path, variant: str, allow_pickle: bool) -> None:
    for part in parts:
        name, files = part.name, [file for file in part.iterdir() if file.is_file()]
        safe = [file for file in files if file.suffix == ".safetensors"]
        variants = sorted({_variant_of(file) for file in safe})
        if safe and "" not in variants and variant not in variants:
            raise ModelLoadError(
                f"The {name} of the model {folder} comes in the variant {' and '.join(variants)} only. "
                f'Set variant = "{variants[0]}" in the entry of the model in the catalog.'
            )
        pickles = [file.name for file in files if file.suffix in _PICKLES and not file.name.startswith("training")]
        if not safe and pickles and not allow_pickle:
            raise ModelLoadError(
                f"The {name} of the model {folder} has its weights as a pickle ({pickles[0]}), which could run code "
                "when it is read. Take a copy with safetensors, or, where you trust its source, set "
                "allow_pickle = true in the entry of the model in the catalog."
            )


def _single_file_message(file: Path) -> str:
    kind = file.suffix or "file without a suffix"
    if file.suffix == ".gguf":
        return (
            f"The model {file} is a single file (.gguf), which holds one part of a model and cannot be converted. Take "
            "a copy of the whole model in the layout of diffusers."
        )
    return (
        f"The model {file} is a single file ({kind}), and Pipelet loads folders in the layout of diffusers. Convert it "
        "once, as docs/models/single-file.md shows, and point PIPELET_MODEL at the folder."
    )


def _resolve_snapshot(folder: Path) -> Path:
    """`folder`, or where it is a model in the hub's cache, the snapshot below it that was fetched last."""
    if (folder / "model_index.json").exists() or not (folder / "snapshots").is_dir():
        return folder
    snapshots = list((folder / "snapshots").iterdir())
    main = folder / "refs" / "main"
    if main.is_file():
        snapshots = [each for each in snapshots if each.name == main.read_text("ascii").strip()] or snapshots
    if len(snapshots) != 1:
        raise ModelLoadError(
            f"The folder {folder} is a model in the hub's cache with {len(snapshots)} snapshots. "
            "Point PIPELET_MODEL at one of the folders in its `snapshots`, or name the model by its hub id."
        )
    return snapshots[0]


def _check_pointers(files: Iterable[Path]) -> None:
    for file in files:
        # `git lfs pull --include "*.safetensors"` leaves the pickles as pointers, which are not loaded.
        if file.suffix in _PICKLES and any(each.suffix == ".safetensors" for each in file.parent.iterdir()):
            continue
        if file.is_file() and file.stat().st_size <= _MAX_POINTER_BYTES:
            with file.open("rb") as opened:
                found = opened.read(len(_POINTER)) == _POINTER
            if found:
                raise ModelLoadError(
                    f"The file {file} is a pointer of Git LFS, not the file itself: the repository was cloned without "
                    "LFS. Run `git lfs pull` in it, or download the model with `hf download`."
                )


def _check_weights(file: Path) -> None:
    try:
        # Reads the header only, and compares what it promises with the file's size.
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelLoadError(f"The file {file} is damaged ({error}). {_COPY_AGAIN}") from error


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))
