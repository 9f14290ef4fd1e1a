"""How soon an idle service begins: from submit until the engine's process is told to generate.

One durable commit is in between, the submit's. The goal does not count it, so one is measured in the same minutes,
through the store's own group commit, on the same disk.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path

import cyclopts
from tests.support.jobs import make_job

from benchmarks.accounts import limits
from benchmarks.lib import load, records
from benchmarks.lib.backends import stamps_of
from benchmarks.lib.service import Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, in_ms, load_now, percentile, show
from pipelet.store.sqlite import SqliteStore, open_sqlite
from pipelet.store.sqlite.migrate import migrate_sqlite

_P50, _P99 = 0.005, 0.025


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds."""

    commit: float
    answer: float
    """Seconds from just before the POST is sent until its answer."""
    claim: float
    """Seconds from just before the POST is sent until the worker's claim began, `started_at`."""
    generate: float
    """Seconds from just before the POST is sent until the engine's process begins to generate."""


def main(*, requests: int = 100, with_limits: bool = False) -> None:
    """
    Parameters
    ----------
    requests
        Requests, each when the service has been idle for 0.1 to 0.3 s.
    with_limits
        Make each with a key of all default limits as well.
    """
    before = load_now()
    with scratch() as folder, serving(folder / "data", backend="benchmarks.lib.backends:StampedGradient") as service:
        key = service.new_limited_key("limited", limits.SETTINGS) if with_limits else None
        samples, limited = asyncio.run(_measure(service, folder, requests, key))
    commit = percentile([sample.commit for sample in samples], 0.5)
    lines = [
        _line("one durable commit of one row", [sample.commit for sample in samples]),
        _line("POST sent → answered", [sample.answer for sample in samples]),
        *_with_goal("POST sent → worker starts (`started_at`)", [sample.claim for sample in samples], commit),
        *_with_goal("POST sent → engine's process draws", [sample.generate for sample in samples], commit),
        *_with_goal(
            "answered → engine's process draws", [sample.generate - sample.answer for sample in samples], commit
        ),
    ]
    lines += _limited_lines(samples, limited)
    show(f"Pick-up by an idle service, {requests} requests", lines, load=before)


async def _measure(
    service: Service, folder: Path, requests: int, limited_key: str | None
) -> tuple[list[Sample], list[Sample]]:
    """Measure with the key of the service, and with a limited one if there is one, in turns."""
    migrate_sqlite(folder / "commits.sqlite")
    store = open_sqlite(folder / "commits.sqlite")
    caller, rng = load.Caller(service.port), random.Random(1)
    keys = [service.key, *([limited_key] if limited_key else [])]
    samples: dict[str, list[Sample]] = {key: [] for key in keys}
    try:
        for number in range(-5, requests):  # the first ones warm everything up
            for turn, key in enumerate(rng.sample(keys, len(keys))):
                sample = await _one(service, caller, store, key, 2 * (number + 5) + turn)
                if number >= 0:
                    samples[key].append(sample)
                await asyncio.sleep(rng.uniform(0.1, 0.3))
    finally:
        store.close()
        caller.close()
    return samples[service.key], samples[limited_key] if limited_key else []


async def _one(service: Service, caller: load.Caller, store: SqliteStore, key: str, seed: int) -> Sample:
    job = make_job(seed=seed)
    began = time.time()
    await store.jobs.submit(job)
    commit = time.time() - began
    await asyncio.sleep(0.05)
    raw = load.submission(key, width=64, height=64, seed=seed)
    sent = time.time()
    status, body = caller(raw)
    answered = time.time()
    assert status == 200, body
    await asyncio.to_thread(records.await_drained, service.database, within=30, poll_interval=0.05)
    record = records.read(service.database)[body["request_id"]]
    [stamp] = [stamp for stamp in stamps_of(service.data_dir) if stamp.seed == seed]
    assert record.started_at is not None
    return Sample(commit, answered - sent, record.started_at - sent, stamp.began - sent)


def _limited_lines(samples: list[Sample], limited: list[Sample]) -> list[Line]:
    if not limited:
        return []
    found, base = (percentile([sample.generate for sample in each], 0.5) for each in (limited, samples))
    times = found / base
    reference = f"{times:.2f} times {in_ms(base)} without limits"
    what = "POST sent → engine's process draws, key with all default limits, p50"
    return [Line(what, in_ms(found), reference, "≤ 1.1 times", times <= limits.MOST_TIMES, Ratio(times))]


def _line(what: str, seconds: list[float]) -> Line:
    return Line(what, f"p50 {in_ms(percentile(seconds, 0.5))}, p99 {in_ms(percentile(seconds, 0.99))}")


def _with_goal(what: str, seconds: list[float], commit: float) -> list[Line]:
    lines = []
    for name, share, most in (("p50", 0.5, _P50), ("p99", 0.99, _P99)):
        found = percentile(seconds, share)
        above = found - commit
        reference = f"{in_ms(above)} above one commit ({found / commit:.1f} commits)"
        # Generating may begin before the answer is read: what is counted from there can be negative.
        ratio = Ratio(found / commit) if name == "p50" and what.startswith("POST") else None
        goal = f"≤ {most * 1000:.0f} ms above"
        lines.append(Line(f"{what}, {name}", in_ms(found), reference, goal, above <= most, ratio))
    return lines


if __name__ == "__main__":
    cyclopts.run(main)
