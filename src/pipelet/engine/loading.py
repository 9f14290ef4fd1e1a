"""From what the catalog says of a model to its pipeline."""

import inspect
from typing import Any

import diffusers
import torch
import transformers

from pipelet.domain.catalog import Model
from pipelet.domain.errors import ModelUnusable
from pipelet.engine import checkpoint
from pipelet.engine.devices import dtype_of
from pipelet.engine.processors import without_torchvision


def load_pipeline(source: str, model: Model, device: torch.device) -> Any:
    """Loaded as what `device` computes with, and not moved there yet."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    folder = checkpoint.check(source)
    pipeline = _pipeline_class(model.pipeline, folder)
    dtype = dtype_of(model, pipeline.__name__, device)
    try:
        # Always with a dtype: without one a bfloat16 checkpoint is loaded half as bfloat16, half as float32.
        where = folder or source
        parts = without_torchvision(pipeline, where, local_files_only=folder is not None)
        return pipeline.from_pretrained(where, dtype=dtype, local_files_only=folder is not None, **parts)
    except ValueError as error:
        raise ModelUnusable(
            f"The checkpoint {source} was not made for {pipeline.__name__}; name its own class in the catalog's "
            f"`pipeline`, or take a checkpoint that fits: {error}"
        ) from error
    except OSError as error:
        if folder is not None:
            raise ModelUnusable(
                f"The model folder {folder} is incomplete, copy or download it again: {error}"
            ) from error
        raise ModelUnusable(
            f"The model {source} is no folder, and could not be fetched from the hub. Without a way to the hub, "
            f"copy the model into a folder and point PIPELET_MODEL at that. The hub's answer: {error}"
        ) from error


def _pipeline_class(name: str, folder: str | None) -> Any:
    """The named class; `auto` is what the folder says, or for the hub what `DiffusionPipeline` finds there."""
    if name == "auto":
        name = "DiffusionPipeline" if folder is None else checkpoint.pipeline_of(folder)
    found = getattr(diffusers, name, None)
    if not (inspect.isclass(found) and issubclass(found, diffusers.DiffusionPipeline)):
        raise ModelUnusable(
            f"diffusers {diffusers.__version__} has no pipeline class {name}. "
            "Name another one in the catalog's `pipeline`, or install a diffusers that has it."
        )
    return found


def sibling(pipe: Any, name: str, *, asked_by: str) -> Any:
    """The pipeline of the class `name` on the weights of `pipe`.

    Raises:
        ModelUnusable: there is no such class, or the weights lack a part of it. `asked_by` is a field of the catalog.
    """
    found = getattr(diffusers, name, None)
    if found is None:
        raise ModelUnusable(
            f"diffusers {diffusers.__version__} has no {name}, which {asked_by} in the catalog asks for. "
            "Take that out, or name another `pipeline`."
        )
    # Not by `from_pipe`, which casts the weights to float32 unless told otherwise, and the other pipeline shares them;
    # nor by `AutoPipelineForImage2Image`, which imports every pipeline there is.
    taken = dict(inspect.signature(found.__init__).parameters)
    del taken["self"]
    absent = [part for part, how in taken.items() if part not in pipe.components and how.default is how.empty]
    if absent:
        raise ModelUnusable(
            f"{name}, which {asked_by} in the catalog asks for, needs {', '.join(absent)}, and the model has only what "
            f"{type(pipe).__name__} needs. Name another class, or take a checkpoint that was made for that one."
        )
    made = found(**{part: value for part, value in pipe.components.items() if part in taken})
    made.set_progress_bar_config(disable=True)
    return made
