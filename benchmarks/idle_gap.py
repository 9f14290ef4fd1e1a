"""How long the engine stands idle between two requests while more are waiting.

Measured in the engine's own process, from the end of a generation to the beginning of the next. The worker then turns
the last images into PNGs and stores them.

Most of that time is one claim and messages between processes. So it is compared with a claim alone, through a store of
its own: before, between and after the cases, on the same disk. The time of a generation is no measure: it varies by
itself.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cyclopts
from tests.support.jobs import claim_request, make_job

from benchmarks.lib import load, records
from benchmarks.lib.backends import Stamp, stamps_of
from benchmarks.lib.service import Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, in_ms, load_now, percentile, show
from pipelet.store.sqlite import open_sqlite
from pipelet.store.sqlite.migrate import migrate_sqlite

_GOALS = {"p50": 0.0035, "p99": 0.010}
"""Seconds."""
_CLAIMS, _PAUSE = 40, 0.03
"""Claims alone before and after each case, and seconds between two of them: a worker's claims follow a pause, too."""
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
        Cases that are measured, of four, from the first.
    """
    before = load_now()
    all_cases = [
        Case("gradient 256²", _GRADIENT, 256, 256, 8),
        Case("gradient 1024²", _GRADIENT, 1024, 1024, 8),
        Case("gradient 3200x2000", _GRADIENT, 3200, 2000, 8),
        Case("demo model 256²", _PIPELINE, 256, 256, 4),
    ]
    claims, stamps = _measure_claims(), {}
    for case in all_cases[:cases]:
        stamps[case.name] = _measure(case, requests)
        claims += _measure_claims()
    claim = percentile(claims, 0.5)
    lines = [line for name, generations in stamps.items() for line in _lines(name, generations, claim)]
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


def _measure_claims() -> list[float]:
    with scratch() as folder:
        return asyncio.run(_claims_alone(folder / "claims.sqlite"))


async def _claims_alone(database: Path) -> list[float]:
    """Seconds of each claim in a queue of its own."""
    migrate_sqlite(database)
    store = open_sqlite(database)
    try:
        await asyncio.gather(*(store.jobs.submit(make_job(seed=number)) for number in range(_CLAIMS)))
        seconds = []
        for _ in range(_CLAIMS):
            await asyncio.sleep(_PAUSE)
            began = time.perf_counter()
            assert await store.leases.claim(claim_request()) is not None
            seconds.append(time.perf_counter() - began)
        return seconds
    finally:
        store.close()


def _lines(case: str, stamps: list[Stamp], claim: float) -> list[Line]:
    """
    Parameters
    ----------
    claim
        Seconds of a claim alone.
    """
    gaps = [after.began - before.ended for before, after in pairwise(stamps)]
    lines = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        gap = percentile(gaps, share)
        reference = f"{gap / claim:.1f} claims of {in_ms(claim)}"
        goal, ratio = _GOALS[name], Ratio(gap / claim) if name == "p50" else None
        what = f"{case}: idle, {name}"
        lines.append(Line(what, in_ms(gap), reference, f"≤ {goal * 1000:g} ms", gap <= goal, ratio))
    return lines


if __name__ == "__main__":
    cyclopts.run(main)
