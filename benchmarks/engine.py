"""What the service adds to the generation: the demo model, called by a script, by our engine and through the API.

One CPU thread each, and all three generate in turns, so that a slow moment slows all of them. They do the same work:
sizes that the model generates as they are, with the steps and the guidance of its catalog entry. The turn that warms up
compares their pixels.
"""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import cyclopts
import numpy as np
import structlog
from numpy.typing import NDArray
from PIL import Image
from tests.support import fork_server
from tests.support.jobs import make_spec

from benchmarks.lib import records
from benchmarks.lib.service import APP, Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, load_now, median, show
from pipelet.client import Client
from pipelet.client_types import Result
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.generation.sizes import Size
from pipelet.domain.ports.engine import MicroBatch
from pipelet.engine.engine_process import EngineProcess
from pipelet.engine.sources import resolve
from pipelet.settings import Settings
from pipelet.wiring.catalog import read_catalog

_PROMPT = "a red apple on a light blue background"
_SEED = 1
_ROUNDING = 1
"""Levels of 255. Where the CPU has no bfloat16, batches differ by so much (decision 18)."""


@dataclass
class Case:
    """A size and a batch, and the seconds that each way took for it."""

    size: Size
    batch: int
    bare: list[float] = field(default_factory=list)
    engine: list[float] = field(default_factory=list)
    service: list[float] = field(default_factory=list)

    def spec(self, model: ModelConfig) -> ImageSpec:
        spec = make_spec(
            prompt=_PROMPT,
            width=self.size.width,
            height=self.size.height,
            batch_size=self.batch,
            seed=_SEED,
            num_inference_steps=model.num_inference_steps,
            guidance_scale=model.guidance_scale,
        )
        assert spec.size == plan_generation(spec, model).output.size, f"{self.size} is drawn at another size."
        return spec


@dataclass(frozen=True, slots=True)
class _Bare:
    """The ends of `benchmarks.lib.bare_pipeline`."""

    arguments: TextIO
    seconds: TextIO


@dataclass(frozen=True, slots=True)
class Ways:
    """Everything that generates."""

    model: ModelConfig
    bare: _Bare
    engine: EngineProcess
    service: Service
    client: Client
    folder: Path


def main(*, turns: int = 5, sizes: tuple[str, ...] = ("256x256", "512x256"), batches: tuple[int, ...] = (1, 4)) -> None:
    """
    Parameters
    ----------
    turns
        How often each size is generated in each way; the medians are shown.
    sizes
        Sizes of the images, among those that the model generates as they are.
    batches
        Images a request.
    """
    before = load_now()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    cases = [Case(Size.parse(size), batch) for size in sizes for batch in batches]
    os.environ["OMP_NUM_THREADS"] = "1"  # for the engines and for the bare pipeline
    with (
        scratch() as folder,
        serving(folder / "data") as service,
        _bare() as bare,
        Client(f"http://127.0.0.1:{service.port}", service.key) as client,
    ):
        model = read_catalog(Settings(data_dir=service.data_dir)).models["demo"]
        engine = EngineProcess(model=model, source=resolve("package:demo"), device="cpu")
        asyncio.run(_measure(cases, turns, Ways(model, bare, engine, service, client, folder)))
    lines = [line for case in cases for line in _lines(case)]
    title = f"The demo model, {model.num_inference_steps} steps, guidance {model.guidance_scale:g}"
    show(f"{title}, medians of {turns}", lines, load=before)


async def _measure(cases: list[Case], turns: int, ways: Ways) -> None:
    await ways.engine.start()
    try:
        for case in cases:  # warms up: the first time everything is slower
            await _compare(case, ways)
        for _ in range(turns):
            for case in cases:
                case.bare.append(_draw_bare(ways, case))
                seconds, _ = await _draw(ways, case)
                case.engine.append(seconds)
                case.service.append((await asyncio.to_thread(_request, ways, case))[0])
    finally:
        await ways.engine.stop()


async def _compare(case: Case, ways: Ways) -> None:
    """Whether the three generate the same images."""
    _draw_bare(ways, case, save=ways.folder / "bare.npy")
    _, by_engine = await _draw(ways, case)
    _, result = await asyncio.to_thread(_request, ways, case)
    paths = ways.client.download(result, ways.folder)
    by_service = np.stack([np.asarray(Image.open(path)) for path in paths])
    expected = np.load(ways.folder / "bare.npy").astype(int)
    for way, pixels in (("engine", by_engine), ("service", by_service)):
        difference = np.abs(expected - pixels).max()
        assert difference <= _ROUNDING, f"{case.size}: the {way}'s pictures differ by {difference} levels."


@contextlib.contextmanager
def _bare() -> Iterator[_Bare]:
    # Threads as patient as the engine's, see `engine/child_pipes.py`.
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    command = ["-m", "benchmarks.lib.bare_pipeline", resolve("package:demo"), "cpu"]
    (their_input, our_output), (our_input, their_output) = os.pipe(), os.pipe()
    with open(our_output, "w") as arguments, open(our_input) as seconds, open(os.devnull, "w") as nothing:
        files = {0: their_input, 1: their_output, 2: nothing.fileno()}
        process = _start(command, environment, files)
        os.close(their_input)
        os.close(their_output)
        yield _Bare(arguments, seconds)
    process.wait(30)


def _start(command: list[str], environment: dict[str, str], files: dict[int, int]) -> fork_server.Process:
    if fork_server.ADDRESS in os.environ:  # a test asks whether the benchmark runs, not how fast
        return fork_server.fork(command, cwd=os.getcwd(), env=environment, files=files, with_torch=True)
    return subprocess.Popen(
        [sys.executable, *command], stdin=files[0], stdout=files[1], stderr=files[2], env=environment
    )


def _draw_bare(ways: Ways, case: Case, save: Path | None = None) -> float:
    spec = case.spec(ways.model)
    arguments = {
        "prompt": spec.prompt,
        "seed": spec.seed,
        "batch_size": spec.batch_size,
        "width": spec.width,
        "height": spec.height,
        "num_inference_steps": spec.num_inference_steps,
        "guidance_scale": spec.guidance_scale,
        "save": str(save) if save else None,
    }
    ways.bare.arguments.write(json.dumps(arguments) + "\n")
    ways.bare.arguments.flush()
    return float(ways.bare.seconds.readline())


async def _draw(ways: Ways, case: Case) -> tuple[float, NDArray[np.uint8]]:
    began = time.perf_counter()
    part = MicroBatch(job_id="-", spec=case.spec(ways.model), first=0, count=case.batch)
    drawn = await ways.engine.generate(part, lambda _: None)
    seconds = time.perf_counter() - began
    pixels = np.array(drawn.pixels)
    drawn.release()
    return seconds, pixels


def _request(ways: Ways, case: Case) -> tuple[float, Result]:
    """Return the seconds from submit to result, images encoded and stored, and the result."""
    spec = case.spec(ways.model)
    fields = {"prompt": spec.prompt, "width": spec.width, "height": spec.height, "batch_size": spec.batch_size}
    request_id = ways.client.submit(APP, seed=spec.seed, **fields).request_id
    records.await_drained(ways.service.database, within=600, poll_interval=0.02)
    record = records.read(ways.service.database)[request_id]
    assert record.state == "succeeded", record
    return record.total_seconds, ways.client.result(request_id)


def _lines(case: Case) -> list[Line]:
    what = f"{case.size}, batch {case.batch}"
    return [
        Line(f"{what}: bare `ZImagePipeline`", f"{median(case.bare):.3f} s"),
        _line(f"{what}: `EngineProcess.generate`", case.engine, case.bare),
        _line(f"{what}: submit to stored result", case.service, case.bare),
    ]


def _line(what: str, seconds: list[float], base: list[float]) -> Line:
    """The ratio is that of the turns."""
    ratio = median([mine / bare for mine, bare in zip(seconds, base, strict=True)])
    reference = f"{ratio:.3f} times bare, {median(seconds) - median(base):+.3f} s"
    return Line(what, f"{median(seconds):.3f} s", reference, ratio=Ratio(ratio))


if __name__ == "__main__":
    cyclopts.run(main)
