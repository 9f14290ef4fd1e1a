"""From what the catalog says of a model to its pipeline, with proof that none of its weights is missing."""

import importlib
import inspect
import json
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from transformers import Qwen2Tokenizer, Qwen2VLImageProcessorPil, Qwen2VLProcessor
from transformers.utils import is_torchvision_available

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import ModelLoadError
from pipelet.engine.diffusers.devices import dtype_of
from pipelet.engine.diffusers.loading import hub, verify_checkpoint
from pipelet.engine.diffusers.verify_output import check_tokenizers

_SHOWN = 3


def load_pipeline(source: str, model: ModelConfig, device: torch.device) -> Any:
    """Loaded as what `device` computes with, and not moved there yet.

    Raises:
        ModelLoadError: it is not there, is damaged or incomplete, or cannot tell prompts apart.
    """
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    folder = _folder_of(source, model)
    pipeline = _pipeline_class(model.pipeline, folder)
    taken = inspect.signature(pipeline.__init__).parameters
    verify_checkpoint.check_complete(folder, taken=taken, variant=model.variant)
    dtype = dtype_of(model, pipeline.__name__, device)
    safetensors = None if model.allow_pickle else True
    try:
        parts = without_torchvision(pipeline, folder)
        parts |= _load_components(pipeline, folder, dtype=dtype, variant=model.variant, use_safetensors=safetensors)
        # Always with a dtype: without one a bfloat16 checkpoint is loaded half as bfloat16, half as float32.
        pipe = pipeline.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=safetensors, **parts
        )
    except json.JSONDecodeError as error:
        raise ModelLoadError(
            f"A JSON file of the model {folder} is damaged: {error}. Copy or download the model again."
        ) from error
    except ValueError as error:
        raise ModelLoadError(
            f"The checkpoint {source} was not made for {pipeline.__name__}; name its own class in the catalog's "
            f"`pipeline`, or take a checkpoint that fits: {error}"
        ) from error
    except OSError as error:
        raise ModelLoadError(f"The model folder {folder} is incomplete, copy or download it again: {error}") from error
    check_tokenizers(pipe, folder)
    return pipe


def _folder_of(source: str, model: ModelConfig) -> str:
    check = partial(verify_checkpoint.check, variant=model.variant, allow_pickle=model.allow_pickle)
    folder = check(source) or check(hub.fetch(source, variant=model.variant, allow_pickle=model.allow_pickle))
    assert folder is not None  # noqa: S101 - what was fetched is a folder
    return folder


def _pipeline_class(name: str, folder: str) -> Any:
    """The named class; `auto` is what the folder says."""
    if name == "auto":
        name = verify_checkpoint.pipeline_class_name(folder)
    found = getattr(diffusers, name, None)
    if not (inspect.isclass(found) and issubclass(found, diffusers.DiffusionPipeline)):
        raise ModelLoadError(
            f"diffusers {diffusers.__version__} has no pipeline class {name}. "
            "Name another one in the catalog's `pipeline`, or install a diffusers that has it."
        )
    return found


def sibling(pipe: Any, name: str, *, asked_by: str) -> Any:
    """The pipeline of the class `name` on the weights of `pipe`.

    Raises:
        ModelLoadError: there is no such class, or the weights lack a part of it. `asked_by` is a field of the catalog.
    """
    found = getattr(diffusers, name, None)
    if found is None:
        raise ModelLoadError(
            f"diffusers {diffusers.__version__} has no {name}, which {asked_by} in the catalog asks for. "
            "Take that out, or name another `pipeline`."
        )
    # Not by `from_pipe`, which casts the weights to float32 unless told otherwise, and the other pipeline shares them;
    # nor by `AutoPipelineForImage2Image`, which imports every pipeline there is.
    taken = dict(inspect.signature(found.__init__).parameters)
    del taken["self"]
    absent = [part for part, how in taken.items() if part not in pipe.components and how.default is how.empty]
    if absent:
        raise ModelLoadError(
            f"{name}, which {asked_by} in the catalog asks for, needs {', '.join(absent)}, and the model has only what "
            f"{type(pipe).__name__} needs. Name another class, or take a checkpoint that was made for that one."
        )
    made = found(**{part: value for part, value in pipe.components.items() if part in taken})
    made.set_progress_bar_config(disable=True)
    return made


def _load_components(
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


class ImageOnlyProcessor(Qwen2VLProcessor):  # type: ignore[misc]
    """Takes text and PIL images."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> None:
        """Not of a video processor that is not there, nor, for want of torchvision, of the others."""


def without_torchvision(pipeline: type, folder: str) -> dict[str, Any]:
    """The processor of Qwen's vision model, which asks for torchvision because it might be given videos.

    torchvision has to match torch to the build, and nothing else here wants it. With it installed, the checkpoint's own
    processor is loaded.
    """
    wanted = getattr(pipeline.__init__, "__annotations__", {}).get("processor")  # type: ignore[misc]
    if wanted is not Qwen2VLProcessor or is_torchvision_available():
        return {}
    kinds = (Qwen2VLImageProcessorPil, Qwen2Tokenizer)
    parts = (kind.from_pretrained(folder, subfolder="processor", local_files_only=True) for kind in kinds)
    return {"processor": ImageOnlyProcessor(*parts)}
