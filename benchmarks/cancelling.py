"""How soon a running request that is cancelled has ended, and how soon its device generates the next one.

The demo model generates at the size that was asked for, so that a step takes a while; the next request waits behind.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cyclopts

from benchmarks.lib import load
from benchmarks.lib.backends import stamps_of
from benchmarks.lib.service import APP, Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, in_ms, load_now, median, percentile, show

_PIPELINE = "benchmarks.lib.pipeline_backend:StampedPipeline"
_PROMPT = "a red apple on a light blue background"
_STEPS = 30
_LOOK_EVERY = 0.002
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds, from just before the cancel was sent."""

    answered: float
    ended: float
    """Seconds until a poll said that it is `COMPLETED`."""
    next_begins: float
    """Seconds until the engine's process is told to generate the next request."""


def main(*, requests: int = 20, side: int = 1024, backend: str = _PIPELINE, prompt: str = _PROMPT) -> None:
    """
    Parameters
    ----------
    requests
        Requests that are cancelled, one after the other, at any moment of their generation.
    side
        Pixels of a side of their images.
    backend
        `module:Class` that generates and notes when.
    prompt
        Prompt of the requests that are cancelled.
    """
    before = load_now()
    settings = {"OMP_NUM_THREADS": "1"}
    with scratch() as folder, serving(folder / "data", backend=backend, settings=settings) as service:
        caller = load.Caller(service.port)
        step = _step_seconds(service, caller, side, prompt)
        samples = [_cancel(service, caller, side, prompt, step, number) for number in range(1, requests + 1)]
        caller.close()
    lines = [Line(f"a step at {side}x{side}", in_ms(step))]
    for what, seconds in (
        ("cancel sent → answered", [sample.answered for sample in samples]),
        ("cancel sent → COMPLETED", [sample.ended for sample in samples]),
        ("cancel sent → the next is drawn", [sample.next_begins for sample in samples]),
    ):
        middle, most = median(seconds), percentile(seconds, 1.0)
        reference = f"{middle / step:.1f} steps; at most {in_ms(most)}"
        # The answer is a matter of the API, not of steps, and too short to be held against one.
        ratio = None if "answered" in what else Ratio(middle / step)
        lines.append(Line(f"{what}, median", in_ms(middle), reference, ratio=ratio))
    show(f"Cancel of {requests} running requests", lines, load=before)


def _step_seconds(service: Service, caller: load.Caller, side: int, prompt: str) -> float:
    """Return the seconds of a step of a request that is not cancelled, the second one: the first warms up."""
    seconds = 0.0
    for number in range(2):
        request_id = _submit(service, caller, side, _STEPS, prompt=prompt, seed=number)
        _await(lambda request_id=request_id: _status(service, caller, request_id)["status"] == "COMPLETED")
        seconds = float(_status(service, caller, request_id)["metrics"]["inference_time"])
    return seconds / _STEPS


def _cancel(service: Service, caller: load.Caller, side: int, prompt: str, step: float, number: int) -> Sample:
    rng = random.Random(number)
    cancelled = _submit(service, caller, side, _STEPS, prompt=prompt, seed=10 * number)
    behind = _submit(service, caller, 64, 1, seed=10 * number + 1)
    _await(lambda: _tasks_done(service, caller, cancelled) >= 2)
    time.sleep(rng.uniform(0, step * _STEPS / 2))
    path = f"/fal/queue/{APP}/requests/{cancelled}/cancel?in_progress=true"
    sent = time.time()
    status, body = caller(load.request("PUT", path, service.key))
    answered = time.time()
    assert status == 202, body
    _await(lambda: _status(service, caller, cancelled)["status"] == "COMPLETED")
    ended = time.time()
    assert "error" in _status(service, caller, cancelled)
    _await(lambda: _status(service, caller, behind)["status"] == "COMPLETED")
    [begun] = [stamp.began for stamp in stamps_of(service.data_dir) if stamp.seed == 10 * number + 1]
    return Sample(answered - sent, ended - sent, begun - sent)


def _submit(service: Service, caller: load.Caller, side: int, steps: int, *, seed: int, prompt: str = _PROMPT) -> str:
    fields = {"prompt": prompt, "width": side, "height": side, "num_inference_steps": steps, "seed": seed}
    status, body = caller(load.submission(service.key, **fields))
    assert status == 200, body
    return str(body["request_id"])


def _status(service: Service, caller: load.Caller, request_id: str) -> dict[str, Any]:
    return caller(load.status(service.key, request_id))[1]


def _tasks_done(service: Service, caller: load.Caller, request_id: str) -> int:
    found = _status(service, caller, request_id)
    if found["status"] != "IN_PROGRESS":
        return 0
    return int(found["statusMessages"]["message"].removeprefix("Progress: ").partition("/")[0])


def _await(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"Not after {_PATIENCE:.0f} s.")
        time.sleep(_LOOK_EVERY)


if __name__ == "__main__":
    cyclopts.run(main)
