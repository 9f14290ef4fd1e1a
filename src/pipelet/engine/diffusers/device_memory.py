"""The memory of a device: whether an error says that it is used up, and what a model needs of it."""

import re
from typing import Any

import torch

from pipelet.domain.errors import ModelLoadError

_OUT_OF_MEMORY_TEXTS = re.compile(
    # CUDA, ROCm, MPS and XPU; cuBLAS and cuDNN; the CPU allocator, which has no class of its own either; Level Zero.
    r"out of memory|ALLOC_FAILED|DefaultCPUAllocator|OUT_OF_(DEVICE|HOST)_MEMORY|OUT_OF_RESOURCES",
    re.IGNORECASE,
)
_GIB = 1024**3


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that there was not enough memory. Only CUDA's own allocator has a class for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY_TEXTS.search(str(error)) is not None
    )


def release_cache() -> None:
    """Return what torch holds in reserve to the device, so that the next allocation finds it in one piece."""
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()


def place(pipe: Any, device: torch.device) -> None:
    """Move the weights to `device`.

    Raises:
        ModelLoadError: they do not fit; the message names the sizes.
    """
    try:
        pipe.to(device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ModelLoadError(too_small_error(pipe, device)) from error


def too_small_error(pipe: Any, device: torch.device) -> str:
    """What the parts of `pipe` need, and what `device` has."""
    models = ((name, part) for name, part in pipe.components.items() if isinstance(part, torch.nn.Module))
    sizes = {name: sum(weight.nbytes for weight in model.parameters()) for name, model in models}
    dtype = str(pipe.dtype).removeprefix("torch.")
    parts = ", ".join(f"{name} {size / _GIB:.1f}" for name, size in sorted(sizes.items(), key=lambda each: -each[1]))
    return (
        f"The device {device} does not have enough memory for the model. Its weights take "
        f"{sum(sizes.values()) / _GIB:.1f} GiB as {dtype} ({parts}), and generating takes some more; "
        f"{_memory_of(device)} Stop what else uses the device, or take a larger device or a smaller model."
    )


def _memory_of(device: torch.device) -> str:
    if device.type != "cuda":
        return "how much is free cannot be told for this kind of device."
    free, total = torch.cuda.mem_get_info(device)
    ours = torch.cuda.memory_allocated(device)
    return f"{(free + ours) / _GIB:.1f} of {total / _GIB:.1f} GiB are free without it."
