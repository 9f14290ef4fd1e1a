"""Where a model runs, and what it computes with there."""

import torch

from pipelet.domain.catalog import Model
from pipelet.domain.errors import ModelUnusable

BFLOAT16_ALONE = "ZImageOmniPipeline"
"""Encodes pictures as bfloat16, whatever it is loaded as."""


def find_device(wanted: str) -> torch.device:
    if wanted == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        wanted = str(found) if found is not None else "cpu"
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelUnusable(
            f"The device {wanted} cannot be used: {str(error).splitlines()[0]} Set PIPELET_DEVICE to cpu or auto."
        ) from error
    return device


def in_words(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def dtype_of(model: Model, pipeline: str, device: torch.device) -> torch.dtype:
    """What the weights of `model` are loaded as, for the class `pipeline`.

    Raises:
        ModelUnusable: torch has no such type.
    """
    if model.dtype != "auto":
        named = getattr(torch, model.dtype, None)
        if not isinstance(named, torch.dtype):
            raise ModelUnusable(
                f"torch has no type {model.dtype}. Set the catalog's `dtype` to auto, bfloat16, float16 or float32."
            )
        return named
    return torch.bfloat16 if BFLOAT16_ALONE in (pipeline, model.edit_pipeline) else quick_dtype(device)


def quick_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 wherever the device computes with it. Many CPUs, those without AVX-512 among them, imitate it number by
    number: a convolution takes eighty times as long as in float32."""
    if device.type != "cpu":
        return torch.bfloat16
    native = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32
