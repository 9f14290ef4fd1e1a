"""Loads the parts of a checkpoint that have weights, and proves that none of the weights is missing."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from pipelet.domain.errors import ModelLoadError
from pipelet.engine.diffusers.loading import verify_checkpoint

_SHOWN = 3


def load_components(
    pipeline: type, folder: str, *, dtype: torch.dtype, variant: str, use_safetensors: bool | None
) -> dict[str, Any]:
    """The parts of `pipeline` that diffusers or transformers load, by name.

    `from_pretrained` of the pipeline would load them in the same way, but not say what it made up: transformers fills
    missing weights with random numbers, others at every start.

    Raises:
        ModelLoadError: weights are missing.
    """
    taken = inspect.signature(pipeline.__init__).parameters  # type: ignore[misc]
    loaded = {}
    for name, (library, class_name) in verify_checkpoint.components_of(folder).items():
        kind = _class_of(library, class_name)
        if name not in taken or kind is None or not (Path(folder) / name).is_dir():
            continue
        options: dict[str, Any] = {"use_safetensors": use_safetensors}
        if verify_checkpoint.has_variant(Path(folder) / name, variant):
            options["variant"] = variant
        named = "dtype" if issubclass(kind, transformers.PreTrainedModel) else "torch_dtype"
        loaded[name], found = kind.from_pretrained(
            str(Path(folder) / name), output_loading_info=True, local_files_only=True, **{named: dtype}, **options
        )
        _check_complete(name, folder, sorted(found["missing_keys"]))
    return loaded


def _class_of(library: str, name: str) -> Any:
    """The class of a part, where diffusers or transformers load its weights; else None."""
    module = getattr(diffusers.pipelines, library, None)
    if module is None and library in ("diffusers", "transformers"):
        module = importlib.import_module(library)
    kind = getattr(module, name, None)
    models = (diffusers.ModelMixin, transformers.PreTrainedModel)
    return kind if inspect.isclass(kind) and issubclass(kind, models) else None


def _check_complete(name: str, folder: str, missing: list[str]) -> None:
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        raise ModelLoadError(
            f"The {name} of the model {folder} lacks {len(missing)} of its weights ({shown}), and would be filled with "
            "random numbers. Copy or download the model again, or convert it for the installed versions of diffusers "
            "and transformers."
        )
