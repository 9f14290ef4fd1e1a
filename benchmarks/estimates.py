"""How far the estimated time of a request is from the time it takes, over a mixed trace on the demo model.

Requests come in bursts with pauses between them, so that the queue fills and drains. Each is judged twice: by the
estimate made at submit (as the store keeps it, with its fractions), and by the mean error of what a client that asks
once a second is told until the request ends (whole seconds, as on the wire).
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cyclopts

from benchmarks.lib import load, records
from benchmarks.lib.records import Record
from benchmarks.lib.service import Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, load_now, median, percentile, show

_GOALS = {"median": (0.5, 0.10), "p90": (0.9, 0.25)}
_SIDES = (64, 128, 256, 384, 448, 512)
_PRIORITIES, _WEIGHTS = (-1, 0, 5), (1, 8, 1)
_BURST_SECONDS = 2.0
_LONG = 5.0
"""Seconds. On a shorter request a whole second is a large part."""


@dataclass
class Asked:
    """A request of the trace, and what its client was told."""

    id: str
    priority: int
    asked_next: float
    told: list[float] = field(default_factory=list)
    has_ended: bool = False


def main(
    *,
    requests: int = 200,
    warm_up: int = 30,
    burst: int = 100,
    load_factor: float = 0.9,
    seed: int = 1,
    backend: str | None = None,
) -> None:
    """
    Parameters
    ----------
    requests
        Requests of the trace.
    warm_up
        Requests before it, for the estimate to learn from.
    burst
        Requests that come within two seconds.
    load_factor
        Work that comes, as a share of what the worker gets done.
    seed
        Chooses the trace.
    backend
        `module:Class` that generates instead of the demo model.
    """
    before, rng = load_now(), random.Random(seed)
    settings = {"OMP_NUM_THREADS": "1"}
    with scratch() as folder, serving(folder / "data", backend=backend, settings=settings) as service:
        seconds_each = _warm_up(service, rng, warm_up)
        pause = max(0.0, burst * seconds_each / load_factor - _BURST_SECONDS)
        trace = _Trace(service, _arrivals(rng, requests, burst, pause))
        asked = trace.run()
        found = records.read(service.database)
    notes = [
        f"Sides {_SIDES[0]} to {_SIDES[-1]}, batches of 1, 2 and 4, 4 and 8 steps, priorities -1, 0, 5 as 1 to 8 to 1; "
        f"bursts of {burst}, {_BURST_SECONDS + pause:.0f} s apart; {seconds_each:.2f} s of work each; seed {seed}.",
        _shape(asked, found),
    ]
    show(f"Estimates over a trace of {requests} requests", _lines(asked, found), load=before, notes=notes)


def _mixed(rng: random.Random) -> dict[str, Any]:
    return {
        "width": rng.choice(_SIDES),
        "height": rng.choice(_SIDES),
        "batch_size": rng.choice((1, 2, 4)),
        "num_inference_steps": rng.choice((4, 8)),
    }


def _warm_up(service: Service, rng: random.Random, count: int) -> float:
    """Seconds of work in a request, on average, once everything is warm."""
    caller = load.Caller(service.port)
    for _ in range(count):
        status, body = caller(load.submission(service.key, **_mixed(rng)))
        assert status == 200, body
    caller.close()
    records.await_drained(service.database, within=600)
    ends = sorted(record.finished_at or 0.0 for record in records.read(service.database).values())
    half = len(ends) // 2
    return (ends[-1] - ends[half]) / (len(ends) - 1 - half)


def _arrivals(rng: random.Random, count: int, burst: int, pause: float) -> Iterator[tuple[float, dict[str, Any]]]:
    """When each request comes, in seconds from the beginning, and what it asks for."""
    for number in range(count):
        at = (number // burst) * (_BURST_SECONDS + pause) + (number % burst) / burst * _BURST_SECONDS
        [priority] = rng.choices(_PRIORITIES, _WEIGHTS)
        yield at, {**_mixed(rng), "priority": priority}


class _Trace:
    """Submits what comes, and asks for each unfinished request once a second."""

    def __init__(self, service: Service, arrivals: Iterator[tuple[float, dict[str, Any]]]) -> None:
        self._key = service.key
        self._caller = load.Caller(service.port)
        self._arrivals = list(arrivals)
        self._asked: list[Asked] = []

    def run(self) -> list[Asked]:
        began, coming = time.monotonic(), list(reversed(self._arrivals))
        while coming or not all(asked.has_ended for asked in self._asked):
            now = time.monotonic()
            if coming and now - began >= coming[-1][0]:
                self._submit(coming.pop()[1], now)
            for asked in self._asked:
                if not asked.has_ended and now >= asked.asked_next:
                    self._ask(asked, now)
            time.sleep(0.01)
        self._caller.close()
        return self._asked

    def _submit(self, fields: dict[str, Any], now: float) -> None:
        status, body = self._caller(load.submission(self._key, **fields))
        assert status == 200, body
        self._asked.append(Asked(body["request_id"], fields["priority"], now))

    def _ask(self, asked: Asked, now: float) -> None:
        asked.asked_next = now + 1.0
        _, body = self._caller(load.status(self._key, asked.id))
        if body["status"] == "COMPLETED":
            assert "error" not in body, body
            asked.has_ended = True
        else:
            seconds = body["statusMessages"]["estimatedTotalTimeSeconds"]
            if seconds is not None:  # no worker is ready at this moment
                asked.told.append(seconds)


def _lines(asked: Sequence[Asked], found: Mapping[str, Record]) -> list[Line]:
    undisturbed = [each for each in asked if not _was_overtaken(each, asked, found)]
    told = [each for each in asked if each.told]
    long = [each for each in told if found[each.id].total_seconds >= _LONG]
    return [
        *_errors("each second", [_while_waiting(each, found) for each in told], with_goal=True),
        *_errors("of whole seconds alone", [_of_rounding(found[each.id]) for each in told]),
        *_errors(f"each second, of {_LONG:.0f} s and longer", [_while_waiting(each, found) for each in long]),
        *_errors("at submit", [_at_submit(found[each.id]) for each in asked], with_goal=True),
        *_errors("at submit, never overtaken by a later one", [_at_submit(found[each.id]) for each in undisturbed]),
    ]


def _errors(when: str, errors: Sequence[float], *, with_goal: bool = False) -> list[Line]:
    if not errors:
        return []
    lines = []
    for name, (share, most) in _GOALS.items():
        error = percentile(errors, share)
        goal, met = (f"≤ {most:.0%}", error <= most) if with_goal else ("", None)
        ratio = Ratio(error) if with_goal and name == "median" else None
        lines.append(Line(f"error {when}, {name}", f"{error:.1%}", f"{len(errors)} requests", goal, met, ratio))
    return lines


def _at_submit(record: Record) -> float:
    return abs(record.estimated_seconds / record.total_seconds - 1)


def _while_waiting(asked: Asked, found: Mapping[str, Record]) -> float:
    """The mean error of all that the client was told."""
    total = found[asked.id].total_seconds
    return sum(abs(told / total - 1) for told in asked.told) / len(asked.told)


def _of_rounding(record: Record) -> float:
    """The error of an estimate that is right, but has to be in whole seconds, and no less than one."""
    return abs(max(1, round(record.total_seconds)) / record.total_seconds - 1)


def _was_overtaken(asked: Asked, others: Sequence[Asked], found: Mapping[str, Record]) -> bool:
    """Whether a later request, of a higher priority, began earlier. That is unknown at submit."""
    mine = found[asked.id]
    return any(
        found[other.id].submitted_at > mine.submitted_at
        and (found[other.id].started_at or 0.0) < (mine.started_at or 0.0)
        for other in others
    )


def _shape(asked: Sequence[Asked], found: Mapping[str, Record]) -> str:
    totals = [found[each.id].total_seconds for each in asked]
    overtaken = sum(_was_overtaken(each, asked, found) for each in asked)
    return (
        f"They took {min(totals):.1f} to {max(totals):.1f} s, median {median(totals):.1f} s; "
        f"{overtaken} were overtaken by later ones of higher priority."
    )


if __name__ == "__main__":
    cyclopts.run(main)
