"""Where a model runs, and what it computes with there."""

import torch

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import ModelLoadError

BFLOAT16_ONLY = "ZImageOmniPipeline"
"""Encodes input images as bfloat16, whatever it is loaded as."""

DTYPES = ("bfloat16", "float16", "float32")
"""What a model can be loaded as, besides `auto`."""


def find_device(wanted: str) -> torch.device:
    if wanted == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        wanted = str(found) if found is not None else "cpu"
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelLoadError(
            f"The device {wanted} cannot be used: {str(error).splitlines()[0]} Set PIPELET_DEVICE to cpu or auto."
        ) from error
    return device


def describe(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def dtype_of(model: ModelConfig, pipeline: str, device: torch.device) -> torch.dtype:
    """What the weights of `model` are loaded as, for the class `pipeline`.

    Raises:
        ModelLoadError: nothing can be loaded as the type that the catalog names, or this pipeline cannot.
    """
    if model.dtype == "auto":
        return torch.bfloat16 if BFLOAT16_ONLY in (pipeline, model.edit_pipeline) else native_dtype(device)
    if model.dtype not in DTYPES:
        known = isinstance(getattr(torch, model.dtype, None), torch.dtype)
        problem = f"A model is not loaded as {model.dtype}" if known else f"torch has no type {model.dtype}"
        raise ModelLoadError(f"{problem}. Set the catalog's `dtype` to auto, {', '.join(DTYPES[:-1])} or {DTYPES[-1]}.")
    if model.dtype == "float16" and pipeline.startswith("ZImage"):
        raise ModelLoadError(
            "The values inside Z-Image are too large for float16, and its images would be black. "
            "Set the catalog's `dtype` to bfloat16 or float32."
        )
    named: torch.dtype = getattr(torch, model.dtype)
    return named


def native_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 wherever the device computes with it. Many CPUs, those without AVX-512 among them, imitate it number by
    number: a convolution takes eighty times as long as in float32. GPUs before Ampere imitate it, too."""
    if device.type == "cuda" and torch.cuda.is_available():
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type != "cpu":
        native = True
    else:
        native = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def notes_on(model: ModelConfig, device: torch.device) -> tuple[str, ...]:
    """What the operator should know of what `auto` has chosen."""
    if model.dtype != "auto" or device.type != "cuda" or native_dtype(device) is torch.bfloat16:
        return ()
    return (
        f"The GPU {describe(device)} does not compute with bfloat16, so the model is loaded as float32, in twice the "
        "memory. Set the catalog's `dtype` to float16 for models that take it, which Z-Image does not, or to bfloat16 "
        "to have it emulated, slowly.",
    )
