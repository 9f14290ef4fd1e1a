"""What is verified of a model before its first request, so that it never generates a wrong image as a success."""

from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from pipelet.domain.errors import GenerationFailed, ModelLoadError

_ONE, _OTHER = "a red fox", "a dry sea"
"""Prompts of equal length: a tokenizer that knows no words may still count them."""


def check_tokenizers(pipe: Any, folder: str) -> None:
    """
    Raises:
        ModelLoadError: a tokenizer reads every prompt alike, as one without its vocabulary does.
    """
    for name, part in pipe.components.items():
        tokenizer = getattr(part, "tokenizer", part)  # a processor holds one
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            continue
        if tokenizer(_ONE).input_ids == tokenizer(_OTHER).input_ids:
            raise ModelLoadError(
                f"The {name} of the model {folder} reads every prompt alike, so its vocabulary is missing: "
                "tokenizer.json, or vocab.json and merges.txt. Copy or download the model again."
            )


def images_of(pipe: Any, output: Any) -> torch.Tensor:
    """Return the images in what a pipeline returned, shape (count, 3, height, width).

    Raises:
        GenerationFailed: there are none.
    """
    images = getattr(output, "images", None)
    if not isinstance(images, torch.Tensor) or images.ndim != 4 or images.shape[1] != 3:
        found = (
            type(output).__name__ if images is None else f"images of the shape {tuple(getattr(images, 'shape', ()))}"
        )
        raise GenerationFailed(
            f"{type(pipe).__name__} returns {found}, and Pipelet needs RGB images. Take a model that generates images."
        )
    return images


def check_finite(image: torch.Tensor, dtype: torch.dtype) -> None:
    """
    Raises:
        GenerationFailed: a value is no number, which would become a black pixel.
    """
    # The extremes carry NaN along. They take 1 ms a megapixel on one CPU thread, where `isfinite` of all takes 14.
    if torch.isfinite(torch.stack(image.aminmax())).all():
        return
    name = str(dtype).removeprefix("torch.")
    other = {torch.float16: "bfloat16 or float32", torch.bfloat16: "float32"}.get(dtype)
    change = f"set the catalog's `dtype` to {other}, or " if other else ""
    raise GenerationFailed(
        f"The model computed values that are no numbers (NaN) as {name}, so there is no image. "
        f"For the operator: {change}copy or download the model again."
    )


def warm_up_error(error: Exception, pipe: Any) -> ModelLoadError:
    """Why a model that was loaded cannot be used."""
    if "chat template" in str(error) or "chat_template" in str(error):
        return ModelLoadError(
            f"The tokenizer of the model has no chat template, which {type(pipe).__name__} needs. It is in "
            "tokenizer_config.json or chat_template.jinja: copy or download the model again."
        )
    reason = str(error) if isinstance(error, GenerationFailed) else f"{type(error).__name__}: {error}"
    return ModelLoadError(f"The model was loaded, but cannot generate. {reason}")
