"""How long the engine stands idle between two requests while more are waiting.

Measured in the engine's own process, from the end of a generation to the beginning of the next. The worker then turns
the last images into PNGs and stores them.
"""

import random
from dataclasses import dataclass
from itertools import pairwise

import cyclopts

from benchmarks.lib import load, records
from benchmarks.lib.backends import Stamp, stamps_of
from benchmarks.lib.service import Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, in_ms, load_now, percentile, show

_GOALS = {"p50": 0.0035, "p99": 0.010}
"""Seconds."""
_GRADIENT = "benchmarks.lib.backends:StampedGradient"
_PIPELINE = "benchmarks.lib.pipeline_backend:StampedPipeline"


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    backend: str
    width: int
    height: int
    steps: int


def main(*, requests: int = 40, cases: int = 4) -> None:
    """
    Parameters
    ----------
    requests
        Queued at once, for each backend and size.
    cases
        Measure the first so many of the four.
    """
    before = load_now()
    all_cases = [
        Case("gradient 256²", _GRADIENT, 256, 256, 8),
        Case("gradient 1024²", _GRADIENT, 1024, 1024, 8),
        Case("gradient 3200x2000", _GRADIENT, 3200, 2000, 8),
        Case("demo model 256²", _PIPELINE, 256, 256, 4),
    ]
    lines = [line for case in all_cases[:cases] for line in _lines(case, _measure(case, requests))]
    show(f"The engine between two of {requests} queued requests", lines, load=before)


def _measure(case: Case, requests: int) -> list[Stamp]:
    """The generations, without the one that kept the worker busy until all were queued."""
    settings = {"OMP_NUM_THREADS": "1"}
    with scratch() as folder, serving(folder / "data", backend=case.backend, settings=settings) as service:
        _submit(service, case, requests)
        records.await_drained(service.database, within=600)
        last_submit = max(record.submitted_at for record in records.read(service.database).values())
        stamps = stamps_of(service.data_dir)
    return [stamp for stamp in stamps if stamp.began > last_submit]


def _submit(service: Service, case: Case, requests: int) -> None:
    caller, rng = load.Caller(service.port), random.Random(2)
    for number in range(requests):
        # The first takes long enough for the others to queue up behind it.
        prompt = "sleep=0.3" if number == 0 else "a red apple on a light blue background"
        fields = {"width": case.width, "height": case.height, "num_inference_steps": case.steps}
        status, body = caller(load.submission(service.key, prompt=prompt, seed=rng.randrange(1 << 40), **fields))
        assert status == 200, body
    caller.close()


def _lines(case: Case, stamps: list[Stamp]) -> list[Line]:
    gaps = [after.began - before.ended for before, after in pairwise(stamps)]
    generation = percentile([stamp.ended - stamp.began for stamp in stamps], 0.5)
    lines = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        gap = percentile(gaps, share)
        reference = f"{gap / generation:.1%} of the {in_ms(generation)} that a generation takes"
        goal, ratio = _GOALS[name], Ratio(gap / generation) if name == "p50" else None
        what = f"{case.name}: idle, {name}"
        lines.append(Line(what, in_ms(gap), reference, f"≤ {goal * 1000:g} ms", gap <= goal, ratio))
    return lines


if __name__ == "__main__":
    cyclopts.run(main)
