"""Calls of backends, and of plain pipelines to compare them with."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.ports.engine import EffectiveParameters
from pipelet.engine.backend import Backend, GenerationReport
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import native_dtype
from tests.engine.calls import Pixels


def generate_images(
    backend: Backend,
    spec: ImageSpec,
    *,
    first: int = 0,
    count: int = 1,
    input_images: Sequence[Pixels] = (),
    on_progress: Callable[[int], None] = lambda done: None,
    is_cancelled: Callable[[], bool] = lambda: False,
    **more: Any,
) -> Pixels:
    out = np.zeros((count, spec.height, spec.width, 3), np.uint8)
    backend.generate(
        spec=spec,
        first=first,
        count=count,
        input_images=input_images,
        out=out,
        on_progress=on_progress,
        is_cancelled=is_cancelled,
        **more,
    )
    return out


def denoiser_of(backend: DiffusersBackend) -> Any:
    assert backend._denoiser is not None
    return backend._denoiser


def used_by(backend: Backend, spec: ImageSpec, input_images: Sequence[Pixels] = ()) -> EffectiveParameters:
    """What the backend reports that it used of `spec`."""
    report = backend.generate(
        spec=spec,
        first=0,
        count=1,
        input_images=input_images,
        out=np.zeros((1, spec.height, spec.width, 3), np.uint8),
        on_progress=lambda done: None,
        is_cancelled=lambda: False,
    )
    assert isinstance(report, GenerationReport)
    assert report.used is not None
    return report.used


def call(
    pipe: Any, spec: ImageSpec, *, count: int = 1, width: int | None = None, height: int | None = None, **more: Any
) -> Pixels:
    """What a plain call of the pipeline generates, through PIL."""
    images = pipe(
        prompt=[spec.prompt] * count,
        width=width or spec.width,
        height=height or spec.height,
        num_inference_steps=spec.num_inference_steps,
        guidance_scale=spec.guidance_scale,
        generator=[torch.Generator("cpu").manual_seed(spec.seed + k) for k in range(count)],
        **more,
    ).images
    return np.stack([np.asarray(image) for image in images])


def assert_alike(expected: Pixels, generated: Pixels) -> None:
    """Bit for bit where the CPU computes with bfloat16, which rounds off in what order sums are added up; in float32,
    to one level of 255."""
    exact = native_dtype(torch.device("cpu")) is torch.bfloat16
    np.testing.assert_allclose(generated.astype(int), expected.astype(int), rtol=0, atol=0 if exact else 1)
