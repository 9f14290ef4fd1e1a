"""What the service adds to the drawing: the model in the box, called by a script, by our engine and through the API.

One CPU thread each, and all three draw in turns, so that a slow moment slows all of them.
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
from typing import Any

import cyclopts
import structlog
from tests.jobs import make_spec

from benchmarks import load, records
from benchmarks.service import APP, Service, scratch, serving
from benchmarks.table import Line, load_now, median, show
from pipelet import wiring
from pipelet.domain.engine import Part
from pipelet.engine.process import EngineProcess
from pipelet.engine.sources import resolve
from pipelet.settings import Settings

_STEPS = 8
_PROMPT = "a red apple on a light blue background"


@dataclass
class Case:
    side: int
    batch: int
    bare: list[float] = field(default_factory=list)
    engine: list[float] = field(default_factory=list)
    service: list[float] = field(default_factory=list)


def main(*, turns: int = 5, sides: tuple[int, ...] = (256, 512), batches: tuple[int, ...] = (1, 4)) -> None:
    """
    Parameters
    ----------
    turns
        How often each size is drawn in each way; the medians are shown.
    sides
        Of the square pictures, in pixels.
    batches
        Pictures a request.
    """
    before = load_now()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    cases = [Case(side, batch) for side in sides for batch in batches]
    settings = {"PIPELET_THREADS": "1"}
    with scratch() as folder, serving(folder / "data", settings=settings) as service, _bare() as bare:
        asyncio.run(_measure(cases, turns, service, bare))
    lines = [line for case in cases for line in _lines(case)]
    show(f"The model in the box, {_STEPS} steps, medians of {turns}", lines, load=before)


async def _measure(cases: list[Case], turns: int, service: Service, bare: "subprocess.Popen[str]") -> None:
    catalog = wiring.read_catalog(Settings(data_dir=service.data_dir))
    engine = EngineProcess(model=catalog.models["box"], source=resolve("package:box"), device="cpu", threads=1)
    await engine.start()
    caller = load.Caller(service.port)
    try:
        for turn in range(turns + 1):
            for case in cases:
                found = (_draw_bare(bare, case), await _draw(engine, case), _request(service, caller, case))
                if turn > 0:  # the first time everything is slower
                    for seconds, of_way in zip(found, (case.bare, case.engine, case.service), strict=True):
                        of_way.append(seconds)
    finally:
        caller.close()
        await engine.stop()


@contextlib.contextmanager
def _bare() -> "Iterator[subprocess.Popen[str]]":
    # Threads as patient as the engine's, see `engine/connection.py`.
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-m", "benchmarks.bare_pipeline", resolve("package:box")]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def _draw_bare(bare: "subprocess.Popen[str]", case: Case) -> float:
    assert bare.stdin is not None
    assert bare.stdout is not None
    sizes = {"width": case.side, "height": case.side, "num_inference_steps": _STEPS}
    bare.stdin.write(json.dumps({"prompt": _PROMPT, "seed": 1, "batch_size": case.batch, **sizes}) + "\n")
    bare.stdin.flush()
    return float(bare.stdout.readline())


async def _draw(engine: EngineProcess, case: Case) -> float:
    spec = make_spec(prompt=_PROMPT, width=case.side, height=case.side, batch_size=case.batch, seed=1)
    began = time.perf_counter()
    drawn = await engine.draw(Part(job_id="-", spec=spec, first=0, count=case.batch), _ignore)
    seconds = time.perf_counter() - began
    drawn.release()
    return seconds


def _ignore(_: int) -> None:
    pass


def _request(service: Service, caller: load.Caller, case: Case) -> float:
    """From submit to result, pictures encoded and stored."""
    fields: dict[str, Any] = {"width": case.side, "height": case.side, "batch_size": case.batch, "seed": 1}
    status, body = caller(load.submission(service.key, num_inference_steps=_STEPS, **fields))
    assert status == 200, body
    records.await_drained(service.database, within=600, look_every=0.02)
    record = records.read(service.database)[body["request_id"]]
    assert record.state == "succeeded", (APP, record)
    return record.total_seconds


def _lines(case: Case) -> list[Line]:
    what = f"{case.side}², batch {case.batch}"
    bare = median(case.bare)
    return [
        Line(f"{what}: bare `ZImagePipeline`", f"{bare:.3f} s"),
        Line(f"{what}: `EngineProcess.draw`", f"{median(case.engine):.3f} s", _times(case.engine, case.bare)),
        Line(f"{what}: submit to stored result", f"{median(case.service):.3f} s", _times(case.service, case.bare)),
    ]


def _times(seconds: list[float], base: list[float]) -> str:
    """Turn by turn."""
    ratio = median([mine / bare for mine, bare in zip(seconds, base, strict=True)])
    return f"{ratio:.3f} times bare, {median(seconds) - median(base):+.3f} s"


if __name__ == "__main__":
    cyclopts.run(main)
