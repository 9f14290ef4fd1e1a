"""What previews cost: the engine's CPU time for one, its encoding in the worker, and the generation that is watched.

One CPU thread. Generations that are watched and those that are not take turns, so that a slow moment slows both.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import cyclopts
import numpy as np
import structlog
from tests.support.jobs import make_spec

from benchmarks.lib.table import Line, Ratio, in_ms, in_us, load_now, median, percentile, show
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.generation.preview import PreviewPixels
from pipelet.domain.ports.engine import MicroBatch
from pipelet.engine.engine_process import EngineProcess
from pipelet.engine.sources import resolve
from pipelet.settings import Settings
from pipelet.wiring.catalog import read_catalog
from pipelet.worker.images.previews import encode_preview

_MAX_ENGINE_SECONDS, _MAX_ENCODE_SECONDS = 0.002, 0.005


@dataclass
class _Sink:
    """Takes a preview after every step, or after none."""

    is_due: bool
    shown: int = 0

    def show(self, pixels: object, *, index: int, step: int) -> None:
        self.shown += 1


@dataclass
class _Turns:
    """Seconds of each generation."""

    unwatched: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    made: list[PreviewPixels] = field(default_factory=list)


def main(*, turns: int = 20, samples: int = 300, batch: int = 4) -> None:
    """
    Parameters
    ----------
    turns
        Generations with a watcher, and as many without.
    samples
        Previews that are made, and encoded, for their times.
    batch
        Images of a generation, which must take long enough for a preview.
    """
    before = load_now()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    os.environ["OMP_NUM_THREADS"] = "1"
    model = read_catalog(Settings()).models["demo"]
    found = asyncio.run(_take_turns(model, turns, batch))
    made, skipped = _engine_times(model, samples)
    largest = PreviewPixels(0, 2, _photograph().data)
    small = _times(lambda: encode_preview(found.made[0], make_spec(width=256, height=256).size), samples)
    large = _times(lambda: encode_preview(largest, make_spec(width=1024, height=1024).size), samples)
    step = median(found.unwatched) / model.num_inference_steps
    ratio = median([mine / other for mine, other in zip(found.watched, found.unwatched, strict=True)])
    lines = [
        Line(
            "engine, CPU of a preview: estimate and colours",
            in_ms(median(made)),
            f"p99 {in_ms(percentile(made, 0.99))}; {median(made) / step:.4f} of a step",
            f"≤ {in_ms(_MAX_ENGINE_SECONDS)}",
            median(made) <= _MAX_ENGINE_SECONDS,
            Ratio(median(made) / step),
        ),
        Line("engine, CPU of a step that is not watched", in_us(median(skipped))),
        Line("worker, encoding of a preview of the demo model", in_ms(median(small))),
        Line(
            "worker, encoding of the largest, 256x256",
            in_ms(median(large)),
            f"p99 {in_ms(percentile(large, 0.99))}",
            f"≤ {in_ms(_MAX_ENCODE_SECONDS)}",
            median(large) <= _MAX_ENCODE_SECONDS,
        ),
        Line(
            f"{batch} images of 256x256, watched",
            f"{median(found.watched):.3f} s",
            f"{ratio:.3f} times those that are not, {len(found.made)} previews",
            ratio=Ratio(ratio),
        ),
    ]
    show(f"Previews, medians of {samples} and of {turns} generations", lines, load=before)


async def _take_turns(model: ModelConfig, turns: int, batch: int) -> _Turns:
    engine, found = EngineProcess(model=model, source=resolve(model.source), device="cpu"), _Turns()
    spec = make_spec(
        width=256,
        height=256,
        batch_size=batch,
        num_inference_steps=model.num_inference_steps,
        guidance_scale=model.guidance_scale,
    )
    await engine.start()
    try:
        await _generate(engine, spec, found.made)  # warms up
        for _ in range(turns):
            engine.request_previews("-", 0)
            found.unwatched.append(await _generate(engine, spec, found.made))
            engine.request_previews("-", 60)
            found.watched.append(await _generate(engine, spec, found.made))
    finally:
        await engine.stop()
    return found


async def _generate(engine: EngineProcess, spec: ImageSpec, made: list[PreviewPixels]) -> float:
    began = time.perf_counter()
    part = MicroBatch(job_id="-", spec=spec, first=0, count=spec.batch_size)
    (await engine.generate(part, lambda _: None, made.append)).release()
    return time.perf_counter() - began


def _engine_times(model: ModelConfig, samples: int) -> tuple[list[float], list[float]]:
    """CPU seconds of a step's callback with a preview, and of one without, on latents of 256x256 pixels."""
    import torch  # only now: the engine process has begun without it
    from diffusers import FlowMatchEulerDiscreteScheduler

    from pipelet.engine.diffusers.previews import LinearMap, StepPreviews

    torch.set_num_threads(1)
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(8)
    renderer, latents = LinearMap(model.preview_map, torch.device("cpu")), torch.randn(1, 32, 16, 16)
    scheduler.step(torch.randn_like(latents), scheduler.timesteps[0], latents)

    def timed(*, is_due: bool) -> list[float]:
        previews = StepPreviews(renderer, _Sink(is_due), first=0)
        previews.begin_pass(256, 256)
        previews.after_step(scheduler, latents, 1)
        return _times(lambda: previews.after_step(scheduler, latents, 2), samples)

    return timed(is_due=True), timed(is_due=False)


def _times(call: Callable[[], object], samples: int) -> list[float]:
    """Return the CPU seconds of each of `count` calls."""
    call()
    found = []
    for _ in range(samples):
        began = time.thread_time_ns()
        call()
        found.append((time.thread_time_ns() - began) / 1e9)
    return found


def _photograph() -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Shapes and some grain, 256 pixels a side."""
    y, x = np.mgrid[0:256, 0:256].astype(np.float32)
    waves = np.sin(x[..., None] / (9, 23, 31)) * np.cos(y[..., None] / (17, 11, 41)) * 100 + 128
    return np.clip(waves + np.random.default_rng(1).normal(0, 8, waves.shape), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    cyclopts.run(main)
