"""Pipelet and what people use in its place, one after the other on this machine, with the same handler.

    python -m benchmarks.peers.side_by_side --json-file side-by-side.json

Each system has as many handlers at once as the others, and is asked over HTTP alone. The peers are installed into an
environment of their own at the first run; Celery needs a `redis-server` in PATH.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cyclopts
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.lib import clients
from benchmarks.lib.service import scratch
from benchmarks.lib.table import load_now, percentile
from benchmarks.peers.handler import SECONDS, SIDE
from benchmarks.peers.systems import ALL, System

_WARM_UP = 8
_SUBMITTERS = 8
_POLLERS = 200
_POLL_EVERY = 0.1
_LOOKED_AT = 20
"""Images that are fetched in the end, to see that they are there."""
_STUCK_SECONDS = 150.0
"""Without any progress. Celery's way to Redis looks for lost tasks every 100 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Figures of one system, times in seconds."""

    name: str
    pick_up: tuple[float, float]
    """p50 and p99, idle: from just before a submit is sent until its handler begins."""
    submit: tuple[float, float]
    """p50 and p99, with 8 users, while all handlers are busy."""
    submits_failed: int
    poll: tuple[float, float]
    """p50 and p99, with 200 users who each ask ten times a second."""
    polls_failed: int
    drained: float | None
    """Requests a second, from the first submit until the last handler ended; None where they did not all end."""
    ended: int
    accepted: int
    killed: "Killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """After kill -9 of every process at once, and another start of everything."""

    accepted: int
    ended_before: int
    results: int
    """Requests whose image can be fetched in the end."""
    lost: int
    twice: int
    """Requests whose handler ran to its end more than once."""
    seconds: float
    """Seconds from the second start until the last of them was said to have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    requests: int
    killed: int
    pick_ups: int = 100
    poll_seconds: float = 10.0


_SMOKE = _Counts(requests=20, killed=8, pick_ups=2, poll_seconds=1.0)


def main(
    *,
    requests: int = 10_000,
    killed: int = 400,
    workers: int = 4,
    only: tuple[str, ...] = (),
    json_file: Path | None = None,
    smoke: bool = False,
) -> None:
    """
    Parameters
    ----------
    requests
        Requests that are drained at most: `System.most_requests` has the peers that are given fewer.
    killed
        Requests that are submitted before everything is killed.
    workers
        Handlers at once.
    only
        Systems, by a part of their names.
    json_file
        Takes the figures, for `python -m benchmarks.peers.plot`; those of other systems in it are kept.
    smoke
        Only see whether it runs: few requests, Pipelet on SQLite alone.
    """
    before = load_now()
    counts = _SMOKE if smoke else _Counts(requests=requests, killed=killed)
    only = ("SQLite",) if smoke else only
    found = {} if json_file is None or not json_file.exists() else _read(json_file)
    chosen = [system for system in ALL if not only or any(part.lower() in system.name.lower() for part in only)]
    for kind in chosen:
        Console(stderr=True).print(f"{kind.name} …")
        with scratch() as folder:
            drained = min(counts.requests, kind.most_requests or counts.requests)
            found[kind.name] = _measure(kind, folder, replace(counts, requests=drained), workers)
        if json_file is not None:
            json_file.write_text(json.dumps([asdict(each) for each in found.values()], indent=1))
    Console(width=160).print(_table(list(found.values()), workers, before))


def _read(file: Path) -> dict[str, Found]:
    each = [Found(**{**fields, "killed": Killed(**fields["killed"])}) for fields in json.loads(file.read_text())]
    return {found.name: found for found in each}


def _measure(kind: type[System], folder: Path, counts: _Counts, workers: int) -> Found:
    requests = counts.requests
    system = kind(folder / "speed", workers=workers)
    system.start()
    try:
        _warm_up(system)
        pick_up = _pick_up(system, counts.pick_ups)
        began = time.time()
        numbers = range(1_000, 1_000 + requests)
        submits = clients.submit(system.port, list(map(system.submission, numbers)), users=_SUBMITTERS)
        ids = [system.id_of(json.loads(answer.body)) for answer in submits if answer.status == 200]
        polled = [system.status(each) for each in ids[-_POLLERS:]]
        polls = clients.poll(system.port, polled, every=_POLL_EVERY, seconds=counts.poll_seconds)
        ends = _await_ends(system, numbers)
        for each in random.Random(1).sample(ids, min(_LOOKED_AT, len(ids))):
            assert system.picture(each) is not None or len(ends) < requests, f"{system.name} has no picture of {each}"
    finally:
        system.stop()
    return Found(
        name=system.name,
        pick_up=_p50_p99(pick_up),
        submit=_p50_p99([answer.seconds for answer in submits]),
        submits_failed=sum(answer.status != 200 for answer in submits),
        poll=_p50_p99([answer.seconds for answer in polls]),
        polls_failed=sum(answer.status not in (200, 202) for answer in polls),
        drained=requests / (max(ends.values()) - began) if len(ends) == requests else None,
        ended=len(ends),
        accepted=len(ids),
        killed=_kill(kind, folder / "killed", counts.killed, workers),
    )


def _warm_up(system: System) -> None:
    numbers = range(_WARM_UP)
    clients.submit(system.port, list(map(system.submission, numbers)), users=_WARM_UP)
    _await_ends(system, numbers)


def _pick_up(system: System, samples: int) -> list[float]:
    rng, seconds = random.Random(1), []
    for number in range(100, 100 + samples):
        time.sleep(rng.uniform(0.1, 0.3))
        [answer] = clients.submit(system.port, [system.submission(number)], users=1)
        assert answer.status == 200, answer
        _await_ends(system, [number])
        [began] = [began for each, began, _ in _stamps(system) if each == number]
        seconds.append(began - answer.due_at)
    return seconds


def _kill(kind: type[System], folder: Path, requests: int, workers: int) -> Killed:
    system = kind(folder, workers=workers)
    system.start()
    try:
        _warm_up(system)
        numbers = range(1_000, 1_000 + requests)
        submits = clients.submit(system.port, list(map(system.submission, numbers)), users=_SUBMITTERS)
        ids = [system.id_of(json.loads(answer.body)) for answer in submits if answer.status == 200]
        _await(lambda: len(_ends(system, numbers)) >= requests // 4)
        system.kill()
        before = len(_ends(system, numbers))
        system.start()
        again = ended_at = time.time()
        ended = 0
        # Not when the last handler has ended: one that was killed between its end and the note of it runs again.
        while ended < len(ids) and time.time() - ended_at < _STUCK_SECONDS:
            time.sleep(0.25)
            if (now := _count_ended(system, ids)) > ended:
                ended, ended_at = now, time.time()
        results = sum(system.picture(each) is not None for each in ids)
    finally:
        system.stop()
    runs = Counter(number for number, _, _ in _stamps(system) if number in numbers)
    return Killed(
        accepted=len(ids),
        ended_before=before,
        results=results,
        lost=len(ids) - results,
        twice=sum(times > 1 for times in runs.values()),
        seconds=ended_at - again,
    )


def _count_ended(system: System, ids: list[str]) -> int:
    """Count the requests that have ended, by what their users are told."""
    answers = clients.submit(system.port, list(map(system.status, ids)), users=_SUBMITTERS)
    return sum(answer.status == 200 and system.has_ended(json.loads(answer.body)) for answer in answers)


def _stamps(system: System) -> list[tuple[int, float, float]]:
    """Number, begin and end of every run that ended."""
    lines = system.stamps.read_text().splitlines(keepends=True) if system.stamps.exists() else []
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [(int(number), float(began), float(ended)) for number, began, ended in whole]


def _ends(system: System, numbers: range | list[int]) -> Mapping[int, float]:
    return {number: ended for number, _, ended in _stamps(system) if number in numbers}


def _await_ends(system: System, numbers: range | list[int]) -> Mapping[int, float]:
    """Wait until all have ended, or none has for long; return when each ended."""
    _await(lambda: len(_ends(system, numbers)) == len(numbers), progress=lambda: len(_ends(system, numbers)))
    return _ends(system, numbers)


def _await(condition: Callable[[], bool], progress: Callable[[], Any] = lambda: None) -> None:
    last, since = progress(), time.monotonic()
    while not condition():
        time.sleep(0.05)
        if (now := progress()) != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > _STUCK_SECONDS:
            return


def _p50_p99(seconds: list[float]) -> tuple[float, float]:
    return percentile(seconds, 0.5), percentile(seconds, 0.99)


def _table(found: list[Found], workers: int, before: float) -> Table:
    table = Table(
        title=f"{workers} handlers of {SECONDS * 1000:.0f} ms and a PNG of {SIDE}x{SIDE} noise",
        caption=f"load {before:.1f} at the start; the handlers' waiting alone allows {workers / SECONDS:.0f} a second",
        box=box.SIMPLE_HEAD,
    )
    rows: dict[str, Callable[[Found], str]] = {
        "idle, submit → handler begins": lambda each: _in_ms(each.pick_up),
        f"submit, {_SUBMITTERS} users": lambda each: _in_ms(each.submit) + _failures(each.submits_failed),
        f"status, {_POLLERS} pollers": lambda each: _in_ms(each.poll) + _failures(each.polls_failed),
        "drained a second": lambda each: f"{each.drained or 0:.0f}, of {each.ended:,}",
        "kill -9 of everything: lost": lambda each: f"{each.killed.lost} of {each.killed.accepted}",
        "… run to the end twice": lambda each: str(each.killed.twice),
        "… done after": lambda each: f"{each.killed.seconds:.0f} s",
    }
    table.add_column("p50 / p99 in ms")
    for each in found:
        table.add_column(each.name, justify="right")
    for what, figure in rows.items():
        table.add_row(what, *map(figure, found))
    return table


def _in_ms(seconds: tuple[float, float]) -> str:
    return " / ".join(f"{each * 1000:,.1f}" if each < 0.1 else f"{each * 1000:,.0f}" for each in seconds)


def _failures(count: int) -> str:
    return f" ({count} failed)" if count else ""


if __name__ == "__main__":
    cyclopts.run(main)
