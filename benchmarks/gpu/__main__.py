"""Z-Image on a GPU: the bare pipeline, our engine, and the service, one after the other, against what the GPU can do.

The weights are random, and no network is needed: how long a generation takes does not depend on them. The floor is the
arithmetic of the transformer's steps at the rate of a large matrix product, measured in the same run.
`--scale tiny --device cpu --sizes 64x64` rehearses everything in a minute.
"""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cyclopts
from tests.support.jobs import make_spec

from benchmarks.lib import records
from benchmarks.lib.service import APP, scratch, serving
from benchmarks.lib.table import Line, load_now, median, show
from pipelet.client import Client
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.generation.sizes import Size
from pipelet.domain.ports.engine import MicroBatch
from pipelet.engine.engine_process import EngineProcess
from pipelet.settings import Settings
from pipelet.wiring.catalog import read_catalog

_PROMPT = "a red fox in deep snow at dawn, soft light, and a wooden boat in an old harbour behind it"
_MODEL = "random-z-image"
_STEPS = 8
_SAMPLE_MILLISECONDS = 200
_CATALOG = """
[models.{name}]
source = "{source}"
pipeline = "ZImagePipeline"
num_inference_steps = {steps}
guidance_scale = 0.0
size_multiple = 16
max_prompt_tokens = 1504
max_megapixels_per_batch = 64.0
"""


@dataclass
class Case:
    size: Size
    batch: int
    floor: float
    """Seconds that the transformer's arithmetic takes at the rate of a large matrix product."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)
    """Memory in use on the GPU, by all processes."""

    def spec(self, steps: int = _STEPS) -> ImageSpec:
        return make_spec(
            prompt=_PROMPT,
            width=self.size.width,
            height=self.size.height,
            batch_size=self.batch,
            seed=1,
            num_inference_steps=steps,
            guidance_scale=0.0,
        )


Generate = Callable[[ImageSpec], Awaitable[float]]
"""Generates in one way, and returns the seconds."""


def main(
    *,
    scale: str = "full",
    device: str = "cuda",
    sizes: tuple[str, ...] = ("512x512", "1024x1024", "3200x2000"),
    batches: tuple[int, ...] = (1, 4),
    turns: int = 2,
    ways: tuple[str, ...] = ("bare", "engine", "service"),
) -> None:
    """
    Parameters
    ----------
    scale
        `full` or `tiny`: of the model.
    device
        Device of torch: `cuda`, or `cpu` to rehearse.
    sizes
        Sizes of the images.
    batches
        Images a request.
    turns
        How often each case is generated in each way, after one step that warms up; the medians are shown.
    ways
        Ways that are measured, of `bare`, `engine` and `service`.
    """
    before = load_now()
    with scratch() as folder:
        rate = _prepare(folder / "model", scale, device)
        floors = _floors(scale, sizes, rate)
        cases = [Case(Size.parse(size), batch, batch * floors[size]) for size in sizes for batch in batches]
        catalog = folder / "catalog.toml"
        catalog.write_text(_CATALOG.format(name=_MODEL, source=folder / "model", steps=_STEPS))
        started = {"bare": _bare, "engine": _engine, "service": _service}
        for way in ways:
            asyncio.run(_measure(way, started[way](folder, catalog, device), cases, turns))
    lines = [line for case in cases for line in _lines(case, ways)]
    title = f"Z-Image, {scale} size, random weights, {_STEPS} steps, medians of {turns}"
    show(title, lines, load=before, notes=[f"A large matrix product in bfloat16 reaches {rate / 1e12:,.3g} TFLOP/s."])


def _prepare(model: Path, scale: str, device: str) -> float:
    """Write the checkpoint, and return the operations a second of a large matrix product.

    In a process of its own, so that no memory of the GPU stays taken.
    """
    code = f"from benchmarks.gpu.rate import prepare; print(prepare({str(model)!r}, {scale!r}, {device!r}))"
    return float(_run(code))


def _floors(scale: str, sizes: tuple[str, ...], rate: float) -> dict[str, float]:
    code = f"from benchmarks.gpu.rate import flops; print(flops({scale!r}, {sizes!r}, {_PROMPT!r}))"
    counted = json.loads(_run(code))
    return {size: _STEPS * operations / rate for size, operations in zip(sizes, counted, strict=True)}


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]


async def _measure(
    way: str, opened: contextlib.AbstractAsyncContextManager[Generate], cases: list[Case], turns: int
) -> None:
    async with opened as generate:
        for case in cases:
            await generate(case.spec(steps=1))  # the first time, kernels are chosen and memory is taken
            with _memory() as samples:
                case.seconds[way] = [await generate(case.spec()) for _ in range(turns)]
            case.peak_mib[way] = max(samples, default=0.0)


@contextlib.asynccontextmanager
async def _bare(folder: Path, catalog: Path, device: str) -> AsyncIterator[Generate]:
    command = ["-m", "benchmarks.lib.bare_pipeline", str(folder / "model"), device]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe, stdout=pipe)
    arguments, seconds = process.stdin, process.stdout
    assert arguments is not None
    assert seconds is not None

    async def generate(spec: ImageSpec) -> float:
        names = ("prompt", "seed", "batch_size", "width", "height", "num_inference_steps", "guidance_scale")
        line = json.dumps({name: getattr(spec, name) for name in names} | {"save": None})
        arguments.write(f"{line}\n".encode())
        return float(await seconds.readline())

    try:
        yield generate
    finally:
        arguments.close()
        await process.wait()


@contextlib.asynccontextmanager
async def _engine(folder: Path, catalog: Path, device: str) -> AsyncIterator[Generate]:
    model = _model(folder, catalog)
    engine = EngineProcess(model=model, source=model.source, device=device)
    await engine.start()

    async def generate(spec: ImageSpec) -> float:
        began = time.perf_counter()
        generated = await engine.generate(MicroBatch(job_id="-", spec=spec, first=0, count=spec.batch_size), _ignore)
        generated.release()
        return time.perf_counter() - began

    try:
        yield generate
    finally:
        await engine.stop()


@contextlib.asynccontextmanager
async def _service(folder: Path, catalog: Path, device: str) -> AsyncIterator[Generate]:
    settings = {"PIPELET_CATALOG": str(catalog), "PIPELET_MODEL": _MODEL, "PIPELET_DEVICE": device}
    with (
        serving(folder / "data", settings=settings) as service,
        Client(f"http://127.0.0.1:{service.port}", service.key) as client,
    ):

        async def generate(spec: ImageSpec) -> float:
            fields = ("prompt", "width", "height", "batch_size", "num_inference_steps")
            arguments = {name: getattr(spec, name) for name in fields}
            request = await asyncio.to_thread(client.submit, APP, seed=spec.seed, **arguments)
            await asyncio.to_thread(records.await_drained, service.database, within=600, poll_interval=0.02)
            record = records.read(service.database)[request.request_id]
            assert record.state == "succeeded", record
            return record.total_seconds

        yield generate


def _model(folder: Path, catalog: Path) -> ModelConfig:
    return read_catalog(Settings(data_dir=folder / "data", catalog=catalog, model=_MODEL)).models[_MODEL]


def _ignore(tasks: int) -> None:
    pass


@contextlib.contextmanager
def _memory() -> Iterator[list[float]]:
    """MiB in use on the first GPU, several times a second; empty where there is none."""
    samples: list[float] = []
    if shutil.which("nvidia-smi") is None:
        yield samples
        return
    query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", f"--loop-ms={_SAMPLE_MILLISECONDS}", "--id=0"]
    with subprocess.Popen(["nvidia-smi", *query], stdout=subprocess.PIPE, text=True) as process:
        reading = threading.Thread(target=lambda: samples.extend(map(float, process.stdout or ())))
        reading.start()
        try:
            yield samples
        finally:
            process.terminate()
            reading.join()


def _lines(case: Case, ways: tuple[str, ...]) -> list[Line]:
    names = {
        "bare": "bare `ZImagePipeline`",
        "engine": "`EngineProcess.generate`",
        "service": "submit to stored result",
    }
    lines = []
    for way in ways:
        seconds, peak = median(case.seconds[way]), case.peak_mib[way]
        memory = f", {peak / 1024:.1f} GiB" if peak else ""
        reference = f"{case.floor / seconds:.0%} of the floor's rate{memory}"
        if "bare" in ways and way != "bare":
            reference += f", {seconds / median(case.seconds['bare']):.3f} times bare"
        lines.append(Line(f"{case.size}, batch {case.batch}: {names[way]}", f"{seconds:.3f} s", reference))
    return lines


if __name__ == "__main__":
    cyclopts.run(main)
